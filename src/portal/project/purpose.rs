//! What a project is for: to segment images, or to denoise them, and what a denoising network learns from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Image, Project};
use crate::{Error, Result};

/// Most recordings of the same slices that are learnt from together.
const MOST_SPLITS: u8 = 9;

/// What a project is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aim {
    /// Classes are drawn, and learnt from that.
    #[default]
    Segment,
    /// Images are cleaned of noise; there are no labels.
    Denoise,
}

/// What a denoising network learns from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LearnsFrom {
    /// Noisy images and clean ones of the same names.
    Pairs,
    /// Several recordings of the same slices with noise of their own (Noise2Inverse).
    Splits,
    /// Nothing but noisy images, of which pixels are hidden (Noise2Void).
    #[default]
    Alone,
}

/// What an image is among those that a denoising network learns from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Role {
    /// It is to be denoised.
    #[default]
    Noisy,
    /// It shows what noisy images of its name are to become.
    Clean,
    /// It belongs to the recording of this number, from 1.
    Split(u8),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Noisy => f.write_str("noisy"),
            Role::Clean => f.write_str("clean"),
            Role::Split(number) => write!(f, "split-{number}"),
        }
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.to_string()
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix("split-").and_then(|number| number.parse::<u8>().ok());
        match (text, number) {
            ("noisy", _) => Ok(Role::Noisy),
            ("clean", _) => Ok(Role::Clean),
            (_, Some(number @ 1..=MOST_SPLITS)) if text == format!("split-{number}") => {
                Ok(Role::Split(number))
            }
            _ => {
                let text: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
                Err(Error::Mismatch(format!(
                    "'{text}' is no role of an image; wanted noisy, clean, or split-1 to split-{MOST_SPLITS}"
                )))
            }
        }
    }
}

impl TryFrom<String> for Role {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl Project {
    /// What it is for, and what a denoising network learns from.
    pub fn purpose(&self) -> (Aim, LearnsFrom) {
        let state = self.state();
        (state.about.aim, state.about.learns_from)
    }

    /// Whether images are denoised in it.
    pub fn denoises(&self) -> bool {
        self.purpose().0 == Aim::Denoise
    }

    /// Says what the project is for; `None` leaves what it learns from as it is. Where it is to learn from several recordings, the noisy
    /// images that are there become those of the first.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where it was drawn in or trained in already, and of stacks of files; [`Error::Output`] where it cannot be written.
    pub fn set_purpose(&self, aim: Aim, learns_from: Option<LearnsFrom>) -> Result<()> {
        let (known, from) = self.purpose();
        if known != aim {
            let has_runs =
                std::fs::read_dir(self.folder.join("runs")).is_ok_and(|mut runs| runs.next().is_some());
            let is_begun = has_runs || self.has_drawings() || !self.classes().is_empty();
            if is_begun {
                let problem = "classes were added or a network was trained in this project, so that it stays what it is; begin another project in a folder of its own";
                return Err(Error::Mismatch(problem.into()));
            }
        }
        if let (Aim::Denoise, Some(stack)) = (aim, self.images().iter().find(|image| image.is_of_files)) {
            return Err(Error::Mismatch(format!(
                "{} is a stack of files, but a network that denoises takes each file as an image; take it out, and add its folder again",
                stack.name
            )));
        }
        if aim == Aim::Segment && learns_from.is_some() {
            let problem = "a network that segments learns from what is drawn; leave learns_from out, or choose the task denoise";
            return Err(Error::Mismatch(problem.into()));
        }
        let learns_from = match aim {
            Aim::Segment => LearnsFrom::default(),
            Aim::Denoise => learns_from.unwrap_or(from),
        };
        if (known, from) == (aim, learns_from) {
            return Ok(());
        }
        self.change_about(|about| {
            (about.aim, about.learns_from) = (aim, learns_from);
            let is_split = |image: &Image| matches!(image.role, Role::Split(_));
            if learns_from == LearnsFrom::Splits && !about.images().any(is_split) {
                // Those that are there already are of one recording, as nobody could say another one.
                let noisy = about.images.iter_mut().filter(|image| image.role == Role::Noisy);
                noisy.for_each(|image| image.role = Role::Split(1));
            }
        })
    }

    /// Says what the image `id` is among those that are learnt from. Gives whether there is such an image.
    ///
    /// # Errors
    /// [`Error::Mismatch`] in a project that segments; [`Error::Output`] where it cannot be written.
    pub fn set_role(&self, id: &str, role: Role) -> Result<bool> {
        let Some(image) = self.image(id) else { return Ok(false) };
        self.check_has_roles()?;
        if image.role != role {
            self.change_about(|about| {
                about.images.iter_mut().filter(|image| image.id == id).for_each(|image| image.role = role);
            })?;
        }
        Ok(true)
    }

    /// # Errors
    /// [`Error::Mismatch`] in a project that segments.
    pub(super) fn check_has_roles(&self) -> Result<()> {
        if self.denoises() {
            return Ok(());
        }
        let problem = "images have roles in projects that denoise only; leave the role out";
        Err(Error::Mismatch(problem.into()))
    }

    /// # Errors
    /// [`Error::Mismatch`] in a project that denoises.
    pub(in crate::portal) fn check_has_labels(&self) -> Result<()> {
        if !self.denoises() {
            return Ok(());
        }
        let problem =
            "this project denoises images: it has no classes and no labels, and nothing is drawn in it";
        Err(Error::Mismatch(problem.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in [Role::Noisy, Role::Clean, Role::Split(1), Role::Split(9)] {
            assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
        }
        for text in ["", "split", "split-0", "split-10", "split-01", "split-+1", "../clean", "Noisy"] {
            let error = text.parse::<Role>().unwrap_err().to_string();
            assert!(error.contains("is no role"), "{text}: {error}");
        }
    }

    #[test]
    fn a_project_stays_what_it_was_begun_as() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Project::open(&folder.path().join(name), &[]).unwrap();
        let project = open("a");
        assert_eq!(project.purpose(), (Aim::Segment, LearnsFrom::Alone));
        assert!(project.set_purpose(Aim::Segment, Some(LearnsFrom::Pairs)).is_err());
        project.set_purpose(Aim::Denoise, Some(LearnsFrom::Splits)).unwrap();
        assert!(
            project
                .add_class("a", "x".into(), "#000000".into())
                .unwrap_err()
                .to_string()
                .contains("no labels")
        );
        drop(project);
        let project = open("a");
        assert_eq!(project.purpose(), (Aim::Denoise, LearnsFrom::Splits));
        project.set_purpose(Aim::Denoise, Some(LearnsFrom::Pairs)).unwrap();
        project.set_purpose(Aim::Segment, None).unwrap();
        project.add_class("a", "x".into(), "#000000".into()).unwrap();
        assert!(project.set_purpose(Aim::Denoise, None).unwrap_err().to_string().contains("another project"));
        // One of an earlier version says nothing of it.
        let text = std::fs::read_to_string(folder.path().join("a/project.toml")).unwrap();
        assert!(!text.contains("task") && !text.contains("learns_from"), "{text}");
    }
}
