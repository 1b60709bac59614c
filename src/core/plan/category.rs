//! Where a category is counted: under its own name, among the rare ones of the reference, or as unseen.

use super::CategoricalColumn;

impl CategoricalColumn {
    /// A column without a reference.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), known: Vec::new(), rare: None }
    }

    /// Counts that are kept of it, besides those of categories that the reference does not have.
    #[must_use]
    pub fn n_cells(&self) -> usize {
        self.known.len() + usize::from(self.rare.is_some())
    }

    /// Where a category is counted; nothing if the reference does not have it.
    #[must_use]
    pub fn cell_of(&self, category: &str) -> Option<usize> {
        let named = self.known.binary_search_by(|known| known.as_str().cmp(category)).ok();
        let is_rare = || self.rare.as_ref().is_some_and(|rare| rare.holds(category));
        named.or_else(|| is_rare().then_some(self.known.len()))
    }
}
