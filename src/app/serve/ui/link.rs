//! Addresses of pages, for names that may hold anything.

pub(in crate::serve) use crate::targets::escaped as encoded;

/// The page of a candidate; `&name=value` can be added.
pub(in crate::serve) fn rollout_url(rollout: &str, model: &str, candidate: &str) -> String {
    format!("/ui/rollouts/{}/{}?model={}", encoded(rollout), encoded(candidate), encoded(model))
}

/// The page of a decision.
pub(super) fn decision_url(id: &str) -> String {
    format!("/ui/decisions/{}", encoded(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(encoded("b3:1f"), "b3%3A1f");
        assert_eq!(rollout_url("a/b", "m&x=1", "v 2?#é"), "/ui/rollouts/a%2Fb/v%202%3F%23%C3%A9?model=m%26x%3D1");
    }
}
