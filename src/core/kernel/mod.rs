//! Kernels: free functions over slices. They allocate nothing, know nothing of events, and each fast one has a scalar
//! twin that its tests compare it with.

pub mod bin;
mod cell;
pub mod moment;
pub mod select;
mod wide;
