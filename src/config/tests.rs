//! What pipeline files mean, and how their errors read.
