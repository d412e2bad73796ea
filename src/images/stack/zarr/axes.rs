//! Where the images of a stack lie in an array whose axes have the order that OME-Zarr wants: time, channels, then space.

use crate::images::stack::TypedStack;

/// The axes of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axes {
    /// Those along which images lie, as they are counted, the last one fastest, and their lengths.
    of_images: Vec<(char, usize)>,
    /// How many numbers each pixel has.
    channels: usize,
    /// Those of the array without rows and columns, and their lengths.
    pub(super) outer: Vec<(char, usize)>,
}

impl Axes {
    /// Those of a stack.
    pub(super) fn of(stack: &TypedStack) -> Self {
        let said = stack.layout.axes();
        let has_channels = |axes: &[(char, usize)]| axes.iter().any(|(axis, _)| *axis == 'C');
        let fits = |axes: &[(char, usize)]| {
            axes.iter().map(|(_, length)| length).product::<usize>() == stack.extent.z
                && !(stack.channels > 1 && has_channels(axes))
        };
        // A layout may have channels that are those of each image.
        let without = match said.split_last() {
            Some((('C', _), before)) => before,
            _ => said,
        };
        let of_images = [said, without].into_iter().find(|axes| fits(axes));
        let of_images = of_images.map_or_else(|| vec![('Z', stack.extent.z)], <[_]>::to_vec);
        let length = |wanted: char| {
            of_images.iter().find(|(axis, _)| *axis == wanted).map_or(1, |(_, length)| *length)
        };
        let lengths = [('T', length('T')), ('C', length('C') * stack.channels), ('Z', length('Z'))];
        let outer = lengths.into_iter().filter(|(_, length)| *length > 1).collect();
        Self { of_images, channels: stack.channels, outer }
    }

    /// Where a channel of an image lies along the outer axes.
    pub(super) fn place(&self, mut image: usize, channel: usize) -> Vec<usize> {
        let mut places = [('T', 0), ('C', channel), ('Z', 0)];
        for (axis, length) in self.of_images.iter().rev() {
            let index = image % length;
            image /= length;
            if let Some((_, place)) = places.iter_mut().find(|(letter, _)| letter == axis)
                && (*axis != 'C' || self.channels == 1)
            {
                *place = index;
            }
        }
        let of =
            |wanted: char| places.iter().find(|(axis, _)| *axis == wanted).map_or(0, |(_, place)| *place);
        self.outer.iter().map(|(axis, _)| of(*axis)).collect()
    }

    /// How long the axis of channels is, 1 where there is none.
    pub(super) fn channel_count(&self) -> usize {
        self.outer.iter().find(|(axis, _)| *axis == 'C').map_or(1, |(_, length)| *length)
    }

    /// Where a channel of an image lies along the axis of channels.
    pub(super) fn channel(&self, image: usize, channel: usize) -> usize {
        let place = self.place(image, channel);
        self.outer.iter().position(|(axis, _)| *axis == 'C').map_or(0, |axis| place[axis])
    }

    /// The letters, with those of rows and columns.
    pub(super) fn letters(&self) -> Vec<char> {
        self.outer.iter().map(|(axis, _)| *axis).chain(['Y', 'X']).collect()
    }

    /// The lengths of the outer axes, and behind them those of rows and columns.
    pub(super) fn shape(&self, rows: usize, columns: usize) -> Vec<usize> {
        self.outer.iter().map(|(_, length)| *length).chain([rows, columns]).collect()
    }

    /// The lengths of a part that is one image deep.
    pub(super) fn part(&self, rows: usize, columns: usize) -> Vec<usize> {
        self.outer.iter().map(|_| 1).chain([rows, columns]).collect()
    }
}
