//! A schedule as text, a line for each step, for people and for golden files.

use std::fmt::{Display, Formatter, Result};
use std::ops::Range;

use super::{Page, Schedule, Step};

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let name = self.name();
        match self {
            Step::Load | Step::Stem | Step::Loss => write!(f, "{name}"),
            Step::Convolve { sources, outputs, first, finishes } => {
                let start = if *first { " from biases" } else { "" };
                write!(
                    f,
                    "{name:<20} maps {} -> maps {}{start}{}",
                    Span(sources),
                    Span(outputs),
                    Finishes(finishes)
                )
            }
            Step::Mix { sources, first } => {
                let start = if *first { " from biases" } else { "" };
                write!(f, "{name:<20} maps {} -> outputs{start}", Span(sources))
            }
            Step::MixWeightGradient { sources, biases } => {
                let more = if *biases { " and output biases" } else { "" };
                write!(f, "{name:<20} output gradients x maps {} -> mixing weights{more}", Span(sources))
            }
            Step::MixInputGradient { channels, finishes } => {
                write!(f, "{name:<20} output gradients -> gradients {}{}", Span(channels), Finishes(finishes))
            }
            Step::InputGradient { gradients, channels, finishes } => {
                let (from, to) = (Span(gradients), Span(channels));
                write!(f, "{name:<20} gradients {from} -> gradients {to}{}", Finishes(finishes))
            }
            Step::FilterGradient { gradients, sources } => {
                write!(f, "{name:<20} gradients {} x maps {} -> filters", Span(gradients), Span(sources))
            }
            Step::BiasGradient { gradients } => {
                write!(f, "{name:<20} gradients {} -> biases", Span(gradients))
            }
        }
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let a = &self.architecture;
        let (inputs, outputs) = (a.inputs, a.outputs);
        let stem = if a.stem.is_none() { String::new() } else { format!(", stem {}", a.stem) };
        let volumes = if a.is_of_volumes() { ", of volumes" } else { "" };
        writeln!(
            f,
            "network: {inputs} in, {outputs} out, width {}, depth {}{stem}{volumes}",
            a.width, a.depth
        )?;
        let e = self.shape.extent;
        writeln!(f, "images: {} of {}x{}x{}, margin {}", self.shape.batch, e.z, e.y, e.x, self.margin)?;
        match self.gradient_shift {
            Some(shift) => {
                let pages = Pages(&self.map_pages);
                writeln!(f, "pages of maps and gradients: {pages}; gradients c in plane c + {shift}")?;
            }
            None => writeln!(f, "pages of maps: {}", Pages(&self.map_pages))?,
        }
        if self.sum_shift > 0 {
            writeln!(f, "sums c in plane c + {}", self.sum_shift)?;
        }
        if self.gradient_sum_shift > 0 {
            writeln!(f, "sums of gradients {} planes before them", self.gradient_sum_shift)?;
        }
        if self.trains() && self.gradient_shift.is_none() {
            writeln!(f, "pages of gradients: {}", Pages(&self.gradient_pages))?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

struct Span<'a>(&'a Range<usize>);

impl Display for Span<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0.len() {
            1 => write!(f, "{}", self.0.start),
            _ => write!(f, "{}..{}", self.0.start, self.0.end),
        }
    }
}

struct Finishes<'a>(&'a Range<usize>);

impl Display for Finishes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", finishes {}", Span(self.0)) }
    }
}

struct Pages<'a>(&'a [Page]);

impl Display for Pages<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let spans: Vec<String> = self.0.iter().map(|page| Span(&page.channels).to_string()).collect();
        write!(f, "{}", spans.join(", "))
    }
}
