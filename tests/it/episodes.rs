//! Ten faults that overlap, four of them of the world: each is told once, on its side, while a restriction stands.

#[path = "../../benches/common/crowd.rs"]
mod crowd;

#[test]
fn ten_faults_that_overlap_are_each_told_once_and_on_the_right_side() {
    let told = crowd::tell(1, 30, (2000, 500));
    let said = told.messages.join("\n");
    assert!(told.delays.iter().all(|delay| delay.is_some_and(|windows| windows <= 3)), "{:?}\n{said}", told.delays);
    assert_eq!((told.repeats, told.wrong_side), (0, 0), "{said}");
    assert!(told.messages.len() <= 15, "{} messages\n{said}", told.messages.len());
}
