//! Value to bin over fixed edges.
//!
//! `k` edges `e_1 < … < e_k` cut the line into `k + 1` bins `(-inf, e_1], (e_1, e_2], …, (e_k, +inf)`: the bin of `x`
//! is the number of edges below `x`. NaN has no bin.

pub use super::cell::Count;
use super::cell::EdgeTable;
use crate::error::{Error, Result};

/// The most edges one column may have.
pub const EDGES_MAX: usize = 8192;

/// Strictly increasing finite edges, ready for counting.
#[derive(Debug, Clone)]
pub struct Edges {
    all: Vec<f64>,
    table: EdgeTable,
    reach: Option<Reach>,
}

/// Beyond which edges values lie far out: up to `low` and above `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// Place of the lower edge.
    pub first: usize,
    /// The lower edge.
    pub low: f64,
    /// Place of the upper edge.
    pub last: usize,
    /// The upper edge.
    pub high: f64,
}

/// The table follows from the edges.
impl PartialEq for Edges {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all && self.reach == other.reach
    }
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
        if let Some((low, high)) = edges.iter().zip(edges.iter().skip(1)).find(|(low, high)| low >= high) {
            return Err(Error::user(format!("bin edges must increase strictly, found {low} before {high}")));
        }
        let table = EdgeTable::new(&edges);
        Ok(Self { all: edges, table, reach: None })
    }

    /// The same edges, with a reach from one of them to another.
    #[must_use]
    pub fn reaching(self, first: usize, last: usize) -> Self {
        let reach = Reach { first, low: self.all[first], last, high: self.all[last] };
        Self { reach: Some(reach), ..self }
    }

    /// How far they reach, if that matters: values beyond are counted apart, too.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        self.reach
    }

    /// The edges.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.all
    }

    /// Number of bins: one more than edges.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.all.len() + 1
    }

    /// The bin of one value that is not NaN: the scalar twin of [`Edges::count`].
    #[must_use]
    pub fn bin(&self, value: f64) -> usize {
        self.all.partition_point(|&edge| edge < value)
    }

    /// Adds `values` to `counts` (length [`Edges::n_bins`]). No value may be NaN.
    pub fn count<C: Count>(&self, values: &[f64], counts: &mut [C]) {
        assert_eq!(counts.len(), self.n_bins(), "one count per bin");
        self.table.count(values, counts);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edges(edges: &[f64]) -> Edges {
        Edges::new(edges.to_vec()).expect("edges increase")
    }

    #[test]
    fn a_value_on_an_edge_belongs_below_it() {
        let mut counts = vec![0_u64; 4];
        edges(&[-1.0, 0.0, 2.0])
            .count(&[-1.0, -0.5, -0.0, 0.0, 2.0, 2.1, f64::INFINITY, f64::NEG_INFINITY], &mut counts);
        assert_eq!(counts, [2, 3, 1, 2]);
    }

    #[test]
    fn counts_are_added_to_what_is_there() {
        let mut counts = vec![5_u64, 7];
        edges(&[0.0]).count(&[1.0; 200], &mut counts);
        assert_eq!(counts, [5, 207]);
    }

    #[test]
    fn edges_that_are_no_edges_are_refused() {
        let message = |edges| Edges::new(edges).expect_err("refused").to_string();
        assert_eq!(message(vec![0.0, f64::INFINITY]), "bin edge inf is not finite");
        assert_eq!(message(vec![0.0, 1.0, 1.0]), "bin edges must increase strictly, found 1 before 1");
        assert_eq!(message(vec![0.0; EDGES_MAX + 1]), "8193 bin edges, at most 8192 are allowed");
    }

    #[test]
    fn equal_edges_are_equal_whatever_their_table() {
        assert_eq!(edges(&[1.0, 2.0]), edges(&[1.0, 2.0]).clone());
        assert_ne!(edges(&[1.0, 2.0]), edges(&[1.0, 3.0]));
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_twin(values in prop::collection::vec(-6.0..6.0_f64, 0..300)) {
            let edges = edges(&[-3.0, -1.5, -1.0, 0.0, 0.5, 2.5]);
            let (mut counts, mut twin) = (vec![0_u64; 7], vec![0_u64; 7]);
            edges.count(&values, &mut counts);
            for value in values {
                twin[edges.bin(value)] += 1;
            }
            prop_assert_eq!(counts, twin);
        }
    }
}
