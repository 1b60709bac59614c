// Keeps a page fresh: when the server says that something is new, the page is read again, and the parts that changed are
// put in place. Focus, scroll position, open details and half-written reasons stay as they are.
'use strict';
(() => {
  const link = document.getElementById('link');
  const news = document.getElementById('news');
  // The server says something every few seconds: without a word for so long it has stopped, or cannot be reached.
  const SILENCE_MS = 15000;
  // What is on a page grows old by itself: it is read again at least this often.
  const AGE_MS = 30000;
  let heard = Date.now();
  let live = null;
  let read = Date.now();
  let busy = false;
  let again = false;

  function tell(fresh) {
    if (fresh) heard = Date.now();
    if (fresh === live) return;
    live = fresh;
    const time = new Date(heard).toISOString().slice(11, 19);
    link.hidden = false;
    link.textContent = fresh ? '● live' : `▲ not live since ${time} UTC`;
    link.className = fresh ? 'link' : 'link stale';
  }

  function replace(part, fresh) {
    const open = [...part.querySelectorAll('details[id][open]')].map((one) => one.id);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : '';
    part.innerHTML = fresh.innerHTML;
    part.dataset.live = fresh.dataset.live;
    open.forEach((id) => document.getElementById(id)?.setAttribute('open', ''));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  // A form that somebody is at is theirs until they are done; it says when it has become pointless.
  function renewForm(part, fresh) {
    if (part.dataset.live === fresh.dataset.live && part.textContent === fresh.textContent) return;
    const begun = part.querySelector('textarea')?.value || part.contains(document.activeElement);
    if (!begun) return replace(part, fresh);
    const moved = part.querySelector('.moved');
    if (moved && part.dataset.live !== fresh.dataset.live) moved.hidden = false;
  }

  function take(page) {
    document.title = page.title;
    for (const part of document.querySelectorAll('[data-live]')) {
      const fresh = page.getElementById(part.id);
      if (!fresh) continue;
      if (part.dataset.live) renewForm(part, fresh);
      else if (part.innerHTML !== fresh.innerHTML) replace(part, fresh);
    }
  }

  async function refresh() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    read = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: 'text/html' }, cache: 'no-store' });
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    } catch {
      tell(false);
    }
    busy = false;
    if (again) {
      again = false;
      setTimeout(refresh, 200);
    }
  }

  if (!document.querySelector('[data-live]')) return;
  const events = new EventSource('/v1/events');
  events.addEventListener('open', () => {
    tell(true);
    refresh();
  });
  events.addEventListener('error', () => tell(false));
  for (const name of ['beat', 'change', 'health', 'decision']) events.addEventListener(name, () => tell(true));
  events.addEventListener(document.body.dataset.on, refresh);
  events.addEventListener('decision', (event) => {
    news.textContent = JSON.parse(event.data).text;
  });
  setInterval(() => {
    if (Date.now() - heard > SILENCE_MS) tell(false);
    if (Date.now() - read > AGE_MS) refresh();
  }, 1000);
})();
