//! What a setting is. Each is declared once, with its type, its default and its help, and every way of setting it follows
//! from that: the field of a struct, the key in `config.toml`, the flag of the command line, the keyword in Python.
//!
//! - [`Setting`]: a setting as plain data, from which a program can make its flags, a form or documentation.
//! - `declare`: the macro that turns a table of settings into a struct, its file format and its list of [`Setting`]s.
//! - `choices`: the macro for enums whose values are named in text.
//! - `value`: the types that a setting may have, and how each is read from text.
//! - `byte_size`: sizes of memory as people write them.
//! - `unknown`: the error for an unknown name, with the nearest known one.

mod byte_size;
mod choices;
mod declare;
mod unknown;
mod value;

pub(crate) use byte_size::byte_size;
pub(crate) use choices::named_choices;
pub(crate) use declare::declare_settings;
pub use unknown::nearest;
pub(crate) use unknown::{KnownName, unknown_setting};
pub use value::{Choice, SettingValue, ValueKind};

/// What a setting belongs to, in the order in which people read about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Heading {
    /// What a run leaves behind.
    Run,
    /// Images, targets, and what is shown of them.
    Data,
    /// Layers, and what they start from.
    Network,
    /// Limits, patience, and what the best model is best in.
    Stop,
    /// Loss, optimiser, learning rate.
    Optimisation,
    /// Random changes of what is shown.
    Augmentation,
    /// Where the network runs.
    Device,
}

impl Heading {
    /// All headings, in order.
    pub const ALL: [Heading; 7] = [
        Heading::Run,
        Heading::Data,
        Heading::Network,
        Heading::Stop,
        Heading::Optimisation,
        Heading::Augmentation,
        Heading::Device,
    ];

    /// The heading as people read it.
    pub fn title(self) -> &'static str {
        match self {
            Heading::Run => "Run",
            Heading::Data => "Data",
            Heading::Network => "Network",
            Heading::Stop => "When to stop",
            Heading::Optimisation => "Optimisation",
            Heading::Augmentation => "Augmentation (each sample draws its own strength, up to what is given)",
            Heading::Device => "Device",
        }
    }
}

/// One setting: its name, its type, its default and its help.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    name: &'static str,
    part: Option<&'static str>,
    heading: Heading,
    value_name: &'static str,
    kind: Option<ValueKind>,
    docs: &'static [&'static str],
    required: bool,
    default: fn() -> Option<String>,
    described_default: Option<&'static str>,
    for_files: bool,
    free_on_resume: bool,
    omitted_at_default: bool,
}

/// What a table holds about a setting beside its name, type, default and help. The other methods are for [`declare_settings`].
impl Setting {
    /// A setting under `heading` whose value is called `value_name` in help.
    pub(crate) const fn under(heading: Heading, value_name: &'static str) -> Self {
        Self {
            name: "",
            part: None,
            heading,
            value_name,
            kind: None,
            docs: &[],
            required: false,
            default: || None,
            described_default: None,
            for_files: false,
            free_on_resume: false,
            omitted_at_default: false,
        }
    }

    /// Words for the default, where it is no fixed value.
    pub(crate) const fn described_default(mut self, words: &'static str) -> Self {
        self.described_default = Some(words);
        self
    }

    /// A kind of value that does not follow from the type.
    pub(crate) const fn of_kind(mut self, kind: ValueKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// A setting that only has a meaning where images are files, or where several models are trained.
    pub(crate) const fn for_files(mut self) -> Self {
        self.for_files = true;
        self
    }

    /// A setting that is not written to `config.toml` while it has its default.
    pub(crate) const fn omitted_at_default(mut self) -> Self {
        self.omitted_at_default = true;
        self
    }

    pub(crate) const fn named(mut self, name: &'static str, part: Option<&'static str>) -> Self {
        (self.name, self.part) = (name, part);
        self
    }

    pub(crate) const fn typed(mut self, kind: ValueKind, docs: &'static [&'static str]) -> Self {
        if self.kind.is_none() {
            self.kind = Some(kind);
        }
        self.docs = docs;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// It may be given anew where a run is resumed.
    pub(crate) const fn free_on_resume(mut self) -> Self {
        self.free_on_resume = true;
        self
    }

    pub(crate) const fn or(mut self, default: fn() -> Option<String>) -> Self {
        self.default = default;
        self
    }

    pub(crate) const fn is_omitted_at_default(&self) -> bool {
        self.omitted_at_default
    }
}

impl Setting {
    /// Its name in `config.toml` and Python; a flag has `-` for each `_`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The table of `config.toml`, or the dict in Python, that it is in; `None` for those at the top.
    pub fn part(&self) -> Option<&'static str> {
        self.part
    }

    /// What it belongs to.
    pub fn heading(&self) -> Heading {
        self.heading
    }

    /// What its value is called in help, such as `N`.
    pub fn value_name(&self) -> &'static str {
        self.value_name
    }

    /// What its values are.
    pub fn kind(&self) -> ValueKind {
        self.kind.unwrap_or(ValueKind::Text)
    }

    /// Whether a run cannot be without it.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether it only has a meaning where images are files or where several models are trained, so that a program that
    /// trains on arrays has no use for it.
    pub fn is_for_files(&self) -> bool {
        self.for_files
    }

    /// Whether a resumed run may have another value than it was begun with: it does not change what was learnt so far.
    pub fn is_free_on_resume(&self) -> bool {
        self.free_on_resume
    }

    /// The default as text that [`SettingValue::read`] takes; `None` where there is no fixed one.
    pub fn default_text(&self) -> Option<String> {
        (self.default)()
    }

    /// The default for people: a value, or words such as `all 1`.
    pub fn described(&self) -> Option<String> {
        self.described_default.map(str::to_owned).or_else(|| self.default_text())
    }

    /// What it does, in a sentence without a full stop. Other settings in it stand in backquotes.
    pub fn help(&self) -> String {
        first_paragraph(self.docs)
    }
}

/// The first paragraph of a documentation comment, as one line without the full stop.
fn first_paragraph(docs: &[&str]) -> String {
    let lines = docs.iter().map(|line| line.trim());
    let text = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
