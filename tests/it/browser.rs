//! The dashboard in a real Chromium: what only a browser can tell.
//!
//! One browser serves the whole run, so its checks are steps of one test, each on a stage of its own.

use serde_json::json;

use crate::stage::{Stage, token};
use crate::webdriver::{Browser, ENTER, TAB};

/// Text and its ground must differ by this much (WCAG 2, level AA).
const CONTRAST_MIN: f64 = 4.5;

/// The width of a small phone.
const PHONE: u32 = 390;

/// Something that is tried on a stage of its own.
type Step = fn(&Browser, &Stage);

#[test]
fn the_dashboard_works_in_a_browser() {
    let browser = Browser::start();
    let steps: [(&str, Step); 7] = [
        ("pages load in silence", pages_load_in_silence),
        ("live updates arrive without a reload", updates_arrive_without_a_reload),
        ("a half-written reason survives", a_half_written_reason_survives),
        ("an approver approves", an_approver_approves),
        ("without the role nothing is offered and nothing done", without_the_role_nothing_is_done),
        ("the keyboard is enough", the_keyboard_is_enough),
        ("phones and both schemes can read it", phones_and_both_schemes_can_read_it),
    ];
    for (name, step) in steps {
        println!("{name}");
        let stage = Stage::set();
        step(&browser, &stage);
        browser.forget();
        browser.open("about:blank");
        assert_eq!(browser.console(), [""; 0], "{name}: the console is silent");
    }
    a_server_that_has_stopped_is_not_live(&browser);
}

fn a_server_that_has_stopped_is_not_live(browser: &Browser) {
    let stage = Stage::set();
    browser.open(&stage.url("/ui"));
    browser.until("document.getElementById('link').textContent === '● live'");
    let Stage { server, .. } = stage;
    server.shutdown();
    browser.until("document.getElementById('link').textContent.includes('not live since')");
}

fn login(browser: &Browser, stage: &Stage, name: &str) {
    browser.open(&stage.url("/ui/login"));
    browser.type_into("#token", &token(name));
    browser.click("form.act button");
    browser.until(&format!("document.querySelector('header').innerText.includes('{name}')"));
}

/// Goes from the list to the candidate's page.
fn open_candidate(browser: &Browser, stage: &Stage) {
    browser.open(&stage.url("/ui"));
    browser.click("article h2 a");
}

fn pages(browser: &Browser, stage: &Stage) -> Vec<String> {
    open_candidate(browser, stage);
    let here = browser.run("return location.href", &[]).as_str().unwrap().to_owned();
    let decision = browser.run("return document.querySelector('.decisions a').href", &[]).as_str().unwrap().to_owned();
    let fixed = ["/ui", "/ui/decisions", "/ui/health", "/ui/login"].map(|path| stage.url(path));
    fixed.into_iter().chain([here, decision]).collect()
}

fn pages_load_in_silence(browser: &Browser, stage: &Stage) {
    stage.until_pending();
    for page in pages(browser, stage) {
        browser.open(&page);
        assert_eq!(browser.run("return document.querySelectorAll('h1').length", &[]), 1, "{page}");
        assert_eq!(browser.run("return document.scripts.length", &[]), 1, "{page}: a name became a script");
        assert_eq!(browser.console(), [""; 0], "{page}");
    }
}

fn updates_arrive_without_a_reload(browser: &Browser, stage: &Stage) {
    stage.next_window();
    browser.open(&stage.url("/ui"));
    browser.run("window.sameDocument = true", &[]);
    browser.until("document.getElementById('link').textContent.includes('live')");
    stage.until_pending();
    browser.until("document.body.innerText.includes('Approve or reject')");
    browser.until("document.getElementById('news').textContent.includes('contain')");
    assert_eq!(browser.run("return window.sameDocument", &[]), true);
}

fn a_half_written_reason_survives(browser: &Browser, stage: &Stage) {
    stage.until_pending();
    login(browser, stage, "ana");
    open_candidate(browser, stage);
    browser.until("document.getElementById('link').textContent.includes('live')");
    browser.type_into("#reason", "half a sen");
    browser.run("scrollTo(0, 120)", &[]);
    let judged = browser.run("return document.querySelector('.facts').textContent", &[]);
    stage.next_window();
    browser.until(&format!("document.querySelector('.facts').textContent !== {judged}"));
    assert_eq!(browser.run("return document.getElementById('reason').value", &[]), "half a sen");
    assert_eq!(browser.run("return document.activeElement.id", &[]), "reason");
    // The page is not thrown back to its top; it may move by the lines that what stands above has grown by.
    assert_eq!(browser.run("return Math.abs(scrollY - 120) < 60", &[]), true);
}

fn an_approver_approves(browser: &Browser, stage: &Stage) {
    stage.until_pending();
    login(browser, stage, "ana");
    open_candidate(browser, stage);
    assert!(!browser.text().contains("Force rollback"), "that is for operators");
    browser.type_into("#reason", "the errors are real");
    browser.click("button[value=approve]");
    browser.until("document.body.innerText.includes('approve of ana: accepted')");
    let text = browser.text();
    assert!(text.contains("ana asked for it: the errors are real"), "{text}");
    assert!(text.contains("CONTAINED") && !text.contains("Waits for approval"), "{text}");
}

fn without_the_role_nothing_is_done(browser: &Browser, stage: &Stage) {
    stage.until_pending();
    let buttons = |browser: &Browser| browser.run("return document.querySelectorAll('#actions button').length", &[]);
    open_candidate(browser, stage);
    assert_eq!(buttons(browser), 0, "without a login");
    login(browser, stage, "vic");
    open_candidate(browser, stage);
    assert_eq!(buttons(browser), 0, "without a role that acts");
    let status = browser.run(
        "const body = { rollout: 'world', candidate: 'x', kind: 'hold', reason: 'because' };
         const request = new XMLHttpRequest();
         request.open('POST', '/v1/commands', false);
         request.setRequestHeader('content-type', 'application/json');
         request.send(JSON.stringify(body));
         return request.status",
        &[],
    );
    assert_eq!(status, 403);
    // The refusal is all that the console has to tell.
    let said = browser.console();
    assert!(said.len() == 1 && said[0].contains("403"), "{said:?}");
}

fn the_keyboard_is_enough(browser: &Browser, stage: &Stage) {
    stage.until_pending();
    login(browser, stage, "ana");
    open_candidate(browser, stage);
    browser.press(TAB);
    let first = "const it = document.activeElement; return [it.textContent, it.getBoundingClientRect().left >= 0]";
    assert_eq!(browser.run(first, &[]), json!(["Skip to content", true]), "the first stop is seen and skips");
    browser.press(ENTER);
    assert_eq!(browser.run("return document.activeElement.id", &[]), "main");
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    tab_to(browser, "it.id === 'reason'");
    assert_eq!(browser.run(outline, &[]), "solid", "focus is seen");
    browser.press("real");
    tab_to(browser, "it.value === 'approve'");
    browser.press(ENTER);
    browser.until("document.body.innerText.includes('approve of ana: accepted')");
}

/// Presses Tab until the focus is where it should be; not for ever.
fn tab_to(browser: &Browser, condition: &str) {
    let reached = (0..60).any(|_| {
        browser.press(TAB);
        browser.run(&format!("const it = document.activeElement; return {condition}"), &[]) == true
    });
    assert!(reached, "no Tab leads to {condition}");
}

fn phones_and_both_schemes_can_read_it(browser: &Browser, stage: &Stage) {
    stage.until_pending();
    login(browser, stage, "oli");
    let pages = pages(browser, stage);
    for scheme in ["light", "dark"] {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.devtools("Emulation.setEmulatedMedia", &media);
        for width in [PHONE, 1280] {
            let screen = json!({ "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE });
            browser.devtools("Emulation.setDeviceMetricsOverride", &screen);
            for (number, page) in pages.iter().enumerate() {
                browser.open(page);
                let wide = browser.run("return document.documentElement.scrollWidth", &[]).as_u64().unwrap();
                assert!(wide <= u64::from(width), "{page} is {wide} wide on {width}");
                check_contrast(browser, &format!("{page} in {scheme}"));
                if let Some(folder) = std::env::var_os("HALDANE_TEST_PICTURES") {
                    browser.picture(&std::path::Path::new(&folder).join(format!("{number}-{scheme}-{width}.png")));
                }
            }
        }
    }
    browser.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
    browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": [] }));
}

/// Every text that is shown, its colour, and the colours that it stands on, innermost first.
const COLOURS: &str = "
    const shown = (element) => element.checkVisibility() && element.getClientRects().length > 0 && !element.closest('.unseen, .skip');
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !shown(element)) continue;
        const style = getComputedStyle(element);
        const grounds = [];
        for (let at = element; at; at = at.parentElement) grounds.push(getComputedStyle(at).backgroundColor);
        found.push([texts.currentNode.data.trim(), element instanceof SVGElement ? style.fill : style.color, grounds]);
    }
    return found";

fn check_contrast(browser: &Browser, page: &str) {
    let found: Vec<(String, String, Vec<String>)> = serde_json::from_value(browser.run(COLOURS, &[])).unwrap();
    assert!(found.len() > 5, "{page} has text");
    for (text, ink, grounds) in found {
        let ground =
            grounds.iter().map(|ground| colour(ground)).find(|(_, alpha)| *alpha > 0.99).unwrap_or(([255.0; 3], 1.0));
        let (light, dark) = (luminance(colour(&ink).0), luminance(ground.0));
        let ratio = (light.max(dark) + 0.05) / (light.min(dark) + 0.05);
        assert!(ratio >= CONTRAST_MIN, "{page}: {text:?} has {ratio:.2}, {ink} on {:?}", ground.0);
    }
}

/// `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.5)`: the colour and how much of it there is.
fn colour(text: &str) -> ([f64; 3], f64) {
    let numbers: Vec<f64> = text.split(['(', ',', ')']).filter_map(|part| part.trim().parse().ok()).collect();
    assert!(numbers.len() >= 3, "no colour: {text}");
    ([numbers[0], numbers[1], numbers[2]], numbers.get(3).copied().unwrap_or(1.0))
}

/// Relative luminance (WCAG 2).
fn luminance(colour: [f64; 3]) -> f64 {
    let linear = |part: f64| {
        let share = part / 255.0;
        if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.212_6 * linear(colour[0]) + 0.715_2 * linear(colour[1]) + 0.072_2 * linear(colour[2])
}

#[test]
fn contrast_is_what_the_guideline_says() {
    let (white, black) = (luminance(colour("rgb(255, 255, 255)").0), luminance(colour("rgba(0, 0, 0, 0.5)").0));
    assert!(((white + 0.05) / (black + 0.05) - 21.0).abs() < 1e-9);
}
