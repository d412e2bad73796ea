//! Every shader, in every variant, without any device: expanded, parsed, validated, translated for Vulkan,
//! Metal and DX12, and compared with what the host believes of its bindings and structs.

use msd_gpu::gpu::shaders::{
    Binding, LAYERS_BYTES, LAYERS_THREADS, MATRIX_BYTES, MATRIX_THREADS, PRODUCT_BYTES, PRODUCT_THREADS,
    SHADERS, Shader, Variant,
};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// Calls `check` with every variant of every shader.
fn each(check: impl Fn(&str, &Shader, &naga::Module, &ModuleInfo)) {
    for shader in SHADERS {
        for &variant in shader.variants {
            let name = format!("{} {variant:?}", shader.name);
            let module = parse(&name, shader, variant);
            let matrices = Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
            let more = match (has_matrices(shader), has_halves(variant)) {
                (true, _) => matrices,
                (false, true) => Capabilities::SHADER_FLOAT16,
                (false, false) => Capabilities::empty(),
            };
            let mut validator = Validator::new(ValidationFlags::all(), Capabilities::default() | more);
            let info = validator.validate(&module).unwrap_or_else(|e| {
                let text = shader.expand(variant).unwrap_or_default();
                panic!("{name}: {}", e.emit_to_string(&text))
            });
            check(&name, shader, &module, &info);
        }
    }
}

/// Whether it uses matrix units, which only some devices have.
fn has_matrices(shader: &Shader) -> bool {
    shader.name.ends_with("_matrix")
}

/// Whether it stores halves, which only some devices have.
fn has_halves(variant: Variant) -> bool {
    variant.contains(&("HALF", 1))
}

fn parse(name: &str, shader: &Shader, variant: Variant) -> naga::Module {
    let text = shader.expand(variant).unwrap_or_else(|e| panic!("{name}: {e}"));
    naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)))
}

#[test]
fn every_variant_is_valid_and_has_one_entry_point() {
    each(|name, shader, module, _| {
        assert_eq!(module.entry_points.len(), 1, "{name}");
        assert_eq!(module.entry_points[0].name, shader.entry, "{name}");
        let [threads, rest @ ..] = module.entry_points[0].workgroup_size;
        let most = match shader.name {
            "convolve_layers" | "input_gradient_layers" => LAYERS_THREADS,
            _ if has_matrices(shader) => MATRIX_THREADS,
            _ => PRODUCT_THREADS,
        };
        assert!(threads % 32 == 0 && threads <= most && rest == [1, 1], "{name}: {threads} threads");
    });
}

#[test]
fn every_variant_can_be_written_for_vulkan() {
    each(|name, _, module, info| {
        let options = spv::Options { lang_version: (1, 6), ..Default::default() };
        let words = spv::write_vec(module, info, &options, None);
        assert!(!words.unwrap_or_else(|e| panic!("{name}: {e}")).is_empty());
    });
}

#[test]
fn every_variant_can_be_written_for_metal() {
    each(|name, shader, module, info| {
        // Metal has matrices of 8x8, since its version 2.3.
        if has_matrices(shader) && !name.contains("(\"SIZE\", 8)") {
            return;
        }
        let lang_version = if has_matrices(shader) { (2, 3) } else { msl::Options::default().lang_version };
        let options = msl::Options { fake_missing_bindings: true, lang_version, ..Default::default() };
        let (text, _) = msl::write_string(module, info, &options, &msl::PipelineOptions::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(text.contains("kernel void"), "{name}");
    });
}

#[test]
fn every_variant_can_be_written_for_dx12() {
    each(|name, shader, module, info| {
        // wgpu has no matrix units on DX12.
        if has_matrices(shader) {
            return;
        }
        let mut text = String::new();
        let options = hlsl::Options { fake_missing_bindings: true, ..Default::default() };
        let pipeline = hlsl::PipelineOptions::default();
        hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(module, info, None)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let threads = module.entry_points[0].workgroup_size[0];
        assert!(text.contains(&format!("numthreads({threads}, 1, 1)")), "{name}");
    });
}

#[test]
fn bindings_are_what_the_host_binds() {
    each(|name, shader, module, _| {
        let mut found = vec![None; shader.bindings.len()];
        for (_, variable) in module.global_variables.iter() {
            let Some(place) = variable.binding else { continue };
            assert_eq!(place.group, 0, "{name}");
            let kind = match variable.space {
                naga::AddressSpace::Uniform => Binding::Uniform,
                naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => {
                    Binding::ReadWrite
                }
                naga::AddressSpace::Storage { .. } => Binding::Read,
                other => panic!("{name}: {other:?} is bound"),
            };
            found[place.binding as usize] = Some(kind);
        }
        let wanted: Vec<_> = shader.bindings.iter().copied().map(Some).collect();
        assert_eq!(found, wanted, "{name}");
    });
}

#[test]
fn structs_lie_as_the_host_writes_them() {
    each(|name, shader, module, _| {
        for layout in shader.layouts {
            let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(layout.name));
            let (_, found) = found.unwrap_or_else(|| panic!("{name} has no struct {}", layout.name));
            let naga::TypeInner::Struct { members, span } = &found.inner else {
                panic!("{} is no struct", layout.name)
            };
            let fields: Vec<_> =
                members.iter().map(|m| (m.name.as_deref().unwrap_or(""), m.offset as usize)).collect();
            assert_eq!(fields, layout.fields, "{name}: {}", layout.name);
            assert_eq!(*span as usize, layout.size, "{name}: {}", layout.name);
        }
    });
}

#[test]
fn workgroup_memory_fits_every_device() {
    each(|name, shader, module, _| {
        // Products of matrices run only on devices with more than every device has; so do some variants of several layers at once.
        let most = match shader.name {
            "filter_gradient_product" => PRODUCT_BYTES,
            "filter_gradient_matrix" => MATRIX_BYTES,
            "convolve_layers" | "input_gradient_layers" if !name.contains("(\"NUMBERS\", 4096)") => {
                LAYERS_BYTES
            }
            _ => 16_384,
        };
        let bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .sum();
        assert!(bytes <= most, "{name} takes {bytes} bytes of workgroup memory");
    });
}
