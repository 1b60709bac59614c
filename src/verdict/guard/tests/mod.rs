//! Windows of two versions, drawn or made up, for the tests of this folder.
