//! Colours of classes and of lines, which can be distinguished with any kind of colour vision.

/// Class 0 first: nearly always the background. Then the seven colours of Okabe & Ito, "Color universal
/// design", 2008, that are not black, then five of Paul Tol's "muted" scheme (technical note SRON/EPS/TN/09-002)
/// that are far from those.
const CLASSES: [[u8; 3]; 13] = [
    [0x26, 0x2B, 0x33],
    [0xE6, 0x9F, 0x00],
    [0x56, 0xB4, 0xE9],
    [0x00, 0x9E, 0x73],
    [0xF0, 0xE4, 0x42],
    [0x00, 0x72, 0xB2],
    [0xD5, 0x5E, 0x00],
    [0xCC, 0x79, 0xA7],
    [0x33, 0x22, 0x88],
    [0x88, 0x22, 0x55],
    [0x99, 0x99, 0x33],
    [0xDD, 0xCC, 0x77],
    [0x44, 0xAA, 0x99],
];

/// Those of Okabe and Ito's colours that are dark enough for thin lines on white.
const LINES: [[u8; 3]; 6] = [
    [0x00, 0x72, 0xB2],
    [0xD5, 0x5E, 0x00],
    [0x00, 0x9E, 0x73],
    [0xCC, 0x79, 0xA7],
    [0xE6, 0x9F, 0x00],
    [0x56, 0xB4, 0xE9],
];

/// Red, green and blue of a class. After 13 classes the colours come again, by turns lighter and darker.
pub fn class_colour(class: u32) -> [u8; 3] {
    let class = class as usize;
    let base = CLASSES[class % CLASSES.len()];
    let round = class / CLASSES.len();
    if round == 0 {
        return base;
    }
    // Each further pair of rounds goes further towards white (odd) or black (even).
    let (towards, strength) = if round % 2 == 1 { (255.0, round + 1) } else { (0.0, round) };
    let part = strength as f32 / (strength as f32 + 2.5);
    base.map(|v| (f32::from(v) + part * (towards - f32::from(v))).round() as u8)
}

/// Red, green and blue of line number `index` of a chart, on white.
pub fn line_colour(index: usize) -> [u8; 3] {
    LINES[index % LINES.len()]
}

/// A colour as HTML and SVG write it, such as `#e69f00`.
pub fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(a: [u8; 3], b: [u8; 3]) -> i32 {
        a.iter().zip(b).map(|(&a, b)| (i32::from(a) - i32::from(b)).pow(2)).sum()
    }

    #[test]
    fn the_first_classes_are_far_apart() {
        for a in 0..13 {
            for b in 0..a {
                let apart = distance(class_colour(a), class_colour(b));
                assert!(apart > 1200, "{a} and {b} are {apart} apart");
            }
        }
    }

    #[test]
    fn further_rounds_vary() {
        for class in 0..13 {
            let rounds: Vec<_> = (0..3).map(|round| class_colour(class + 13 * round)).collect();
            assert!(rounds[0] != rounds[1] && rounds[1] != rounds[2] && rounds[0] != rounds[2]);
        }
        assert_eq!(class_colour(u32::MAX), class_colour(u32::MAX));
    }

    #[test]
    fn colours_are_written_in_hexadecimal() {
        assert_eq!(hex(class_colour(1)), "#e69f00");
        assert_eq!(hex([0, 10, 255]), "#000aff");
        assert_eq!(line_colour(0), line_colour(6));
    }
}
