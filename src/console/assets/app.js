// The frame around the pages: who is logged in, the navigation, language and theme, which page is
// shown.

import {getSession, logOut, session} from './api.js';
import {noticePlace, problemBox, notice} from './dialogs.js';
import {fill, foreign, h} from './dom.js';
import {count} from './format.js';
import {icon, logo} from './icons.js';
import {live, start as startLive, stop as stopLive, watch} from './live.js';
import {showEntrance} from './login.js';
import {choose, keepChoice, language, learn, say} from './words.js';

const GROUPS = [
  ['watch', ['overview', 'connections', 'history', 'diagnose']],
  ['govern', ['settings', 'access', 'accounts', 'configuration']],
];

const loaders = {
  overview: () => import('./overview.js'),
  connections: () => import('./connections.js'),
  history: () => import('./history.js'),
  diagnose: () => import('./diagnose.js'),
  settings: () => import('./settings.js'),
  access: () => import('./access.js'),
  accounts: () => import('./accounts.js'),
  configuration: () => import('./configuration.js'),
};

const app = document.getElementById('app');
let page = null; // {name, leave, mayLeave}
let here = ''; // the address of that page
let frame = null; // {main, links, live}
let token = takeToken();

// The token of a one-time link stands in the fragment, which no server and no log ever sees; nor
// does it stay in the address bar or in the browser's history.
function takeToken() {
  const match = /^#setup=([0-9a-f]{64})$/i.exec(location.hash);
  if (match) history.replaceState(null, '', location.pathname);
  return match && match[1];
}

function pathOf(name) {
  return name === 'overview' ? '/' : `/${name}`;
}

function nameOf(path) {
  const name = path === '/' ? 'overview' : path.slice(1);
  return loaders[name] ? name : 'overview';
}

// Asks, where something was typed that would be lost.
function mayLeave() {
  return !page?.mayLeave || page.mayLeave();
}

function closeWindows() {
  document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
}

/* ---- language and theme */

const THEMES = ['auto', 'light', 'dark'];

// The document comes in the theme that was chosen.
function theme() {
  return document.documentElement.dataset.theme || 'auto';
}

function setTheme(name) {
  if (name === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  keepChoice('theme', name === 'auto' ? null : name);
  document.dispatchEvent(new Event('theme'));
}

function themeSwitch() {
  const choice = h(
    'select',
    {'aria-label': say('theme'), change: (event) => setTheme(event.target.value)},
    THEMES.map((name) => h('option', {value: name}, say(`theme.${name}`))),
  );
  choice.value = theme();
  return h('label.switch', icon('theme'), choice);
}

function languageSwitch(again) {
  const change = async () => {
    if (!mayLeave()) {
      choice.value = language;
      return;
    }
    await choose(choice.value);
    again();
  };
  const choice = h(
    'select',
    {'aria-label': say('language'), change},
    h('option', {value: 'en', lang: 'en'}, 'English'),
    h('option', {value: 'ja', lang: 'ja'}, '日本語'),
  );
  choice.value = language;
  return h('label.switch', icon('language'), choice);
}

export function switches(again) {
  return h('div.switches', languageSwitch(again), themeSwitch());
}

/* ---- the frame */

function link(name) {
  return h('a', {href: pathOf(name), 'data-page': name}, icon(name), h('span', say(`page.${name}`)));
}

function liveWords(status) {
  return status === 'live' ? say('live.open', {n: count(live.state.open)}) : say(`live.${status}`);
}

// Below the pages' names; and above the page where these are folded away, once it brings no news.
function liveSign() {
  const signs = [h('p.live'), h('p.live.above')];
  const show = () => {
    const status = live.status === 'live' && live.state.draining ? 'draining' : live.status;
    for (const one of signs) {
      one.dataset.status = status;
      fill(one, h('span.dot'), h('span', liveWords(status)));
    }
  };
  show();
  return {below: signs[0], above: signs[1], leave: watch(show)};
}

function who() {
  const leave = async () => {
    if (!mayLeave()) return;
    try {
      await logOut();
    } catch (problem) {
      if (problem.status !== 401) notice(problem.words, 'bad');
    }
    enter();
  };
  return h(
    'p.who',
    icon('user'),
    foreign(session.name, 'who-name'),
    h(
      'button.quiet.square',
      {type: 'button', 'aria-label': say('log_out'), title: say('log_out'), click: leave},
      icon('leave'),
    ),
  );
}

function buildFrame() {
  if (frame) frame.live.leave();
  const main = h('main', {id: 'main', tabindex: '-1'});
  const sign = liveSign();
  const links = new Map();
  const lists = GROUPS.map(([group, names]) => [
    h('p.nav-group', {id: `nav-${group}`}, say(`nav.${group}`)),
    h(
      'ul',
      {'aria-labelledby': `nav-${group}`},
      names.map((name) => {
        const one = link(name);
        links.set(name, one);
        return h('li', one);
      }),
    ),
  ]);
  const side = h(
    'div.side-body',
    {id: 'side-body'},
    h('nav', {'aria-label': say('nav')}, lists),
    h('div.side-foot', sign.below, switches(again), who()),
  );
  const menu = h(
    'button.quiet.menu',
    {
      type: 'button',
      'aria-expanded': 'false',
      'aria-controls': 'side-body',
      click: () => setMenu(menu.getAttribute('aria-expanded') === 'false'),
    },
    icon('menu'),
    h('span', say('menu')),
  );
  const setMenu = (open) => {
    menu.setAttribute('aria-expanded', String(open));
    side.classList.toggle('shown', open);
  };
  app.className = 'framed';
  fill(
    app,
    h('a.skip', {href: '#main', click: (event) => (event.preventDefault(), main.focus())}, say('skip')),
    h(
      'header.side',
      h('div.side-top', h('a.brand', {href: '/', translate: 'no'}, logo(), 'viaduct'), sign.above, menu),
      side,
    ),
    main,
    noticePlace(),
    h('p.only-read', {id: 'said', 'aria-live': 'polite'}),
  );
  frame = {main, links, live: sign, setMenu};
}

// Everything anew in another language, at the same place.
function again() {
  if (!session.name) {
    enter();
    return;
  }
  buildFrame();
  show(false);
}

/* ---- pages */

// A failure of the page itself is shown in its place.
async function load(name) {
  try {
    return await loaders[name]();
  } catch (error) {
    return {
      show: (place) =>
        fill(
          place,
          problemBox(error, () => show(false)),
        ),
    };
  }
}

async function show(focus = true) {
  const name = nameOf(location.pathname);
  if (page?.leave) page.leave();
  closeWindows();
  const mine = {name, leave: null, mayLeave: null};
  page = mine;
  here = location.pathname + location.search;
  frame.setMenu(false);
  for (const [other, one] of frame.links) {
    if (other === name) one.setAttribute('aria-current', 'page');
    else one.removeAttribute('aria-current');
  }
  document.title = `${say(`page.${name}`)} · viaduct`;
  const module = await load(name);
  if (page !== mine) return;
  const heading = h('h1', {tabindex: '-1'}, say(`page.${name}`));
  const tools = h('div.head-tools');
  const place = h(`div.page.${name}`);
  fill(frame.main, h('div.page-head', heading, tools), place);
  window.scrollTo(0, 0);
  if (focus) heading.focus({preventScroll: true});
  const controls = module.show(place, {
    query: new URLSearchParams(location.search),
    tools,
    go,
    setQuery: (text) => {
      if (page !== mine) return; // what a page that was left had under way
      here = `${pathOf(name)}${text}`;
      history.replaceState(null, '', here);
    },
  });
  Object.assign(mine, controls);
}

export function go(path) {
  if (!mayLeave()) return;
  history.pushState(null, '', path);
  show();
}

document.addEventListener('click', (event) => {
  const a = event.target.closest('a[href^="/"]');
  if (!a || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey)
    return;
  if (!session.name) return;
  event.preventDefault();
  go(a.getAttribute('href'));
});

// The browser has gone by then: who stays is put back where the page is.
window.addEventListener('popstate', () => {
  if (!session.name) return;
  if (mayLeave()) show();
  else history.pushState(null, '', here);
});

// A link that is opened where the console is open already loads nothing: only the fragment changes.
window.addEventListener('hashchange', () => {
  const found = takeToken();
  if (!found) return;
  token = found;
  enter();
});

window.addEventListener('beforeunload', (event) => {
  if (page?.isDirty?.()) event.preventDefault();
});

/* ---- in and out */

function enter(reason) {
  if (page?.leave) page.leave();
  page = null;
  stopLive();
  closeWindows();
  app.className = 'entrance';
  showEntrance(app, {
    token,
    reason,
    switches: switches(again),
    done: () => {
      token = null;
      begin(true);
    },
  });
}

// `focus`: one was just let in, and the form that had the focus is gone.
function begin(focus) {
  startLive(() => {
    session.name = null;
    enter('lost');
  });
  buildFrame();
  show(focus);
}

// Words, session and the page's own scripts are asked for at once.
async function first() {
  const asked = getSession().then(
    () => null,
    (problem) => problem,
  );
  load(nameOf(location.pathname));
  await learn();
  const problem = await asked;
  if (problem) {
    app.className = 'entrance';
    fill(app, h('main', problemBox(problem, first)));
    return;
  }
  if (session.name && !token) begin(false);
  else enter();
}

first();
