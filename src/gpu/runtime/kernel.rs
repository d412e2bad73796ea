//! What a kernel is: its template, its bindings, the structs that it shares with the host, and its variants.
//!
//! This module does not depend on wgpu, so that a test without any device can expand, validate and translate every kernel.

use super::template::{TemplateError, expand};

/// What a kernel does with a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binding {
    /// A small struct of parameters.
    Uniform,
    /// A buffer that the kernel reads; no binding of the same dispatch writes it.
    Read,
    /// A buffer that the kernel writes; it may read it too. No other binding of the same dispatch is this buffer.
    ReadWrite,
}

/// How a struct lies in the host's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StructLayout {
    /// The name of the WGSL struct.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// Its fields and their offsets in bytes.
    pub fields: &'static [(&'static str, usize)],
}

/// The values of a template's names.
pub type Variant = &'static [(&'static str, u32)];

/// A kernel before a variant of it is chosen.
#[derive(Debug)]
pub struct Shader {
    /// Its file in shaders/, without the extension.
    pub name: &'static str,
    /// Its entry point.
    pub entry: &'static str,
    /// Its template.
    pub source: &'static str,
    /// The text of a piece that templates include, by its name.
    pub pieces: fn(&str) -> Option<&'static str>,
    /// What is bound in group 0, in order.
    pub bindings: &'static [Binding],
    /// The structs that it shares with the host.
    pub layouts: &'static [StructLayout],
    /// The variants that may be used; at least one.
    pub variants: &'static [Variant],
}

impl Shader {
    /// The WGSL of a variant.
    ///
    /// # Errors
    /// When the template is wrong.
    pub fn expand(&self, variant: Variant) -> Result<String, TemplateError> {
        expand(self.name, self.source, &self.pieces, variant)
    }
}

/// A variant of a shader.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// The shader.
    pub shader: &'static Shader,
    /// The index of its variant.
    pub variant: usize,
}

impl Kernel {
    /// The variant of `shader` whose `name` has the value `value`, for each of `values`.
    pub(in crate::gpu) fn new(shader: &'static Shader, values: &[(&str, u32)]) -> Self {
        let fits =
            |variant: &Variant| values.iter().all(|&(n, v)| variant.iter().any(|&(m, w)| (n, v) == (m, w)));
        // The callers choose among the values listed below, and a test plans with all of them.
        let variant = shader.variants.iter().position(fits).expect("the registry lists the variant");
        Self { shader, variant }
    }

    /// The values of the variant.
    pub fn values(&self) -> Variant {
        self.shader.variants[self.variant]
    }

    /// The value of a name of its template; 0 where the variant has none.
    pub(in crate::gpu) fn value(&self, name: &str) -> u32 {
        self.values().iter().find(|(found, _)| *found == name).map_or(0, |&(_, value)| value)
    }

    /// A name for labels, such as `convolve ROWS=8`.
    pub fn label(&self) -> String {
        let values = self.values().iter().map(|(name, value)| format!(" {name}={value}"));
        std::iter::once(self.shader.name.to_string()).chain(values).collect()
    }
}

/// The text of a template in shaders/.
macro_rules! source {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl"))
    };
}
pub(in crate::gpu) use source;

/// Parameters of a kernel as they lie in a uniform buffer, with the layout that a test compares with the WGSL struct.
macro_rules! params {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $(pub $field: $kind),* }

        impl $name {
            pub const LAYOUT: $crate::gpu::runtime::kernel::StructLayout = $crate::gpu::runtime::kernel::StructLayout {
                name: stringify!($name),
                size: size_of::<$name>(),
                fields: &[$((stringify!($field), std::mem::offset_of!($name, $field))),*],
            };
        }
    };
}
pub(in crate::gpu) use params;
