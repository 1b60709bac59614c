//! Value to bin over fixed edges.
//!
//! `k` edges `e_1 < … < e_k` cut the line into `k + 1` bins `(-inf, e_1], (e_1, e_2], …, (e_k, +inf)`: the bin of `x` is the
//! number of edges below `x`. NaN has no bin.

use crate::error::{Error, Result};

/// The most edges one column may have.
pub const EDGES_MAX: usize = 8192;

/// Strictly increasing finite edges, ready for counting.
#[derive(Debug, Clone, PartialEq)]
pub struct Edges {
    edges: Vec<f64>,
}

impl Edges {
    /// Takes strictly increasing finite edges.
    ///
    /// # Errors
    /// When an edge is not finite, the edges do not increase strictly, or there are more than [`EDGES_MAX`].
    pub fn new(edges: Vec<f64>) -> Result<Self> {
        if edges.len() > EDGES_MAX {
            return Err(Error::user(format!("{} bin edges, at most {EDGES_MAX} are allowed", edges.len())));
        }
        if let Some(edge) = edges.iter().find(|edge| !edge.is_finite()) {
            return Err(Error::user(format!("bin edge {edge} is not finite")));
        }
        if let Some(pair) = edges.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::user(format!("bin edges must increase strictly, found {} before {}", pair[0], pair[1])));
        }
        Ok(Self { edges })
    }

    /// The edges.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.edges
    }

    /// Number of bins: one more than edges.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.edges.len() + 1
    }

    /// The bin of one value that is not NaN: the scalar twin of [`Edges::count`].
    #[must_use]
    pub fn bin(&self, value: f64) -> usize {
        self.edges.partition_point(|&edge| edge < value)
    }

    /// Adds the selected `values` to `counts` (length [`Edges::n_bins`]). No value may be NaN.
    pub fn count(&self, values: &[f64], counts: &mut [u64]) {
        assert_eq!(counts.len(), self.n_bins(), "one count per bin");
        for &value in values {
            counts[self.bin(value)] += 1;
        }
    }
}
