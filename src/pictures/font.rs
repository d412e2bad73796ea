//! A tiny bitmap font, so that pictures can carry captions without a font file.

/// Width and height of a glyph in pixels.
pub(super) const WIDTH: usize = 5;
pub(super) const HEIGHT: usize = 7;

/// Each line holds a character and the seven rows of its glyph, from the top, two hexadecimal digits a row;
/// the row's lowest five bits are its pixels, the leftmost highest.
const GLYPHS: &str = "\
0 0E11131519110E
1 040C040404040E
2 0E11010204081F
3 1F02040201110E
4 02060A121F0202
5 1F101E0101110E
6 0608101E11110E
7 1F010204080808
8 0E11110E11110E
9 0E11110F01020C
A 0E11111F111111
B 1E11111E11111E
C 0E11101010110E
D 1C12111111121C
E 1F10101E10101F
F 1F10101E101010
G 0E11101713110F
H 1111111F111111
I 0E04040404040E
J 0702020202120C
K 11121418141211
L 1010101010101F
M 111B1515111111
N 11111915131111
O 0E11111111110E
P 1E11111E101010
Q 0E11111115120D
R 1E11111E141211
S 0F10100E01011E
T 1F040404040404
U 1111111111110E
V 11111111110A04
W 1111111515150A
X 11110A040A1111
Y 1111110A040404
Z 1F01020408101F
a 00000E010F110F
b 1010161911111E
c 00000E1010110E
d 01010D1311110F
e 00000E111F100E
f 0609081C080808
g 000F11110F010E
h 10101619111111
i 04000C0404040E
j 0200060202120C
k 10101214181412
l 0C04040404040E
m 00001A15151111
n 00001619111111
o 00000E1111110E
p 00001E111E1010
q 00000D130F0101
r 00001619101010
s 00000E100E011E
t 08081C08080906
u 0000111111130D
v 00001111110A04
w 0000111115150A
x 0000110A040A11
y 000011110F010E
z 00001F0204081F
. 000000000C0C00
, 000000000C0408
: 000C0C000C0C00
; 000C0C000C0408
! 04040404000004
? 0E110102040004
- 0000001F000000
+ 0004041F040400
= 00001F001F0000
_ 0000000000001F
* 0004150E150400
/ 00010204081000
% 18190204081303
@ 0E1117151E100E
( 02040808080402
) 08040202020408
[ 0E08080808080E
] 0E02020202020E
< 02040810080402
> 08040201020408
# 0A0A1F0A1F0A0A
& 0C12140815120D
' 0C040800000000
\" 0A0A0A00000000
| 04040404040404
~ 00000815020000
";

/// The seven rows of a character's glyph, the lowest five bits of each its pixels from left (highest) to
/// right; `None` for a space. A character that the font lacks is a box.
pub(super) fn glyph(character: char) -> Option<[u8; HEIGHT]> {
    if character == ' ' {
        return None;
    }
    const BOX: [u8; HEIGHT] = [0x1F, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1F];
    let rows = GLYPHS.lines().find(|line| line.starts_with(character)).and_then(|line| line.get(2..));
    Some(rows.map_or(BOX, |rows| {
        std::array::from_fn(|row| {
            rows.get(2 * row..2 * row + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0)
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn letters_digits_and_signs_have_glyphs_of_their_own() {
        let characters: Vec<char> = ('a'..='z')
            .chain('A'..='Z')
            .chain('0'..='9')
            .chain(".,:;!?-+=_*/%@()[]<>#&'\"|~".chars())
            .collect();
        let glyphs: HashSet<_> = characters.iter().map(|&c| glyph(c).unwrap()).collect();
        assert_eq!(glyphs.len(), characters.len(), "two characters look alike");
        assert!(!glyphs.contains(&glyph('\u{e9}').unwrap()), "a character lacks its glyph");
    }

    #[test]
    fn glyphs_are_five_pixels_wide_and_seven_high() {
        for line in GLYPHS.lines() {
            assert_eq!(line.len(), 2 + 2 * HEIGHT, "{line}");
            assert!(u64::from_str_radix(&line[2..], 16).is_ok(), "{line}");
            let rows = glyph(line.chars().next().unwrap()).unwrap();
            assert!(rows.iter().all(|row| row >> WIDTH == 0) && rows.iter().any(|&row| row != 0), "{line}");
        }
    }

    #[test]
    fn the_letter_f_looks_like_one() {
        let drawn = glyph('F').unwrap().map(|row| format!("{row:05b}").replace('0', ".").replace('1', "#"));
        assert_eq!(drawn, ["#####", "#....", "#....", "####.", "#....", "#....", "#...."]);
    }

    #[test]
    fn spaces_are_empty_and_unknown_characters_are_boxes() {
        assert_eq!(glyph(' '), None);
        assert_eq!(glyph('\u{3b8}'), glyph('\n'));
    }
}
