// How numbers of feature maps and gradient maps are stored: as f32, or with HALF as f16. All sums are f32 in any case. This piece comes before all others,
// as WGSL wants what is enabled in front.
//#if HALF
enable f16;

alias MapNumber = f16;
//#else
alias MapNumber = f32;
//#end
