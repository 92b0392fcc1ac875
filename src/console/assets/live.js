// The one stream of events of this tab: the proxy's state each second, and the rows of the page of
// connections while it is shown.  A tab that nobody sees has none.

import {getSession, onSessionLost, query, session} from './api.js';

const SAMPLES = 240;
const PAUSE_MS = 2000;

const watchers = new Set();
let source = null;
let rows = null; // {arguments, take}
let timer = 0;
let wanted = false;

export const live = {
  status: 'waiting', // waiting, live, lost
  state: null, // the last one
  samples: [], // {at_ms, up, down, flows}: rates, of the last minutes
};

function tell() {
  watchers.forEach((f) => f(live));
}

function setStatus(status) {
  if (live.status === status) return;
  live.status = status;
  tell();
}

function total(flows) {
  return Object.values(flows).reduce((sum, n) => sum + n, 0);
}

function takeState(state) {
  const before = live.state;
  live.state = state;
  live.status = 'live';
  if (before && before.start_us === state.start_us && state.uptime_us > before.uptime_us) {
    const seconds = (state.uptime_us - before.uptime_us) / 1e6; // the clock may step
    const ended = total(state.flows) + state.superseded - total(before.flows) - before.superseded;
    live.samples.push({
      at_ms: state.now_us / 1000,
      up: Math.max(0, state.bytes_up - before.bytes_up) / seconds,
      down: Math.max(0, state.bytes_down - before.bytes_down) / seconds,
      flows: Math.max(0, ended + state.open - before.open) / seconds, // begun, not ended
    });
    live.samples.splice(0, live.samples.length - SAMPLES);
  } else {
    live.samples.length = 0;
  }
  tell();
}

// A stream that the proxy refuses is closed for good: it is looked whether we are still let in.
async function retry() {
  setStatus('lost');
  try {
    await getSession();
    if (!session.name) {
      lostSession();
      return;
    }
  } catch {
    // not there: again later
  }
  clearTimeout(timer);
  timer = setTimeout(open, PAUSE_MS);
}

let lostSession = () => {};

function close() {
  clearTimeout(timer);
  if (source) source.close();
  source = null;
}

function open() {
  close();
  if (!wanted || document.hidden) return;
  const path = `/api/v1/events${rows ? query({connections: 1, ...rows.arguments}) : ''}`;
  const mine = new EventSource(path);
  source = mine;
  mine.addEventListener('state', (event) => takeState(JSON.parse(event.data)));
  mine.addEventListener('connections', (event) => {
    if (source === mine && rows) rows.take(JSON.parse(event.data));
  });
  mine.addEventListener('error', () => {
    if (source !== mine) return;
    if (mine.readyState === EventSource.CLOSED) retry();
    else setStatus('lost');
  });
}

document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));

export function start(whenLost) {
  lostSession = whenLost;
  onSessionLost(whenLost);
  wanted = true;
  open();
}

export function stop() {
  wanted = false;
  rows = null;
  live.state = null;
  live.samples.length = 0;
  live.status = 'waiting';
  close();
}

// Calls `f` at each change; returns what ends that.
export function watch(f) {
  watchers.add(f);
  return () => watchers.delete(f);
}

// Has the stream carry rows, too; null: no more.
export function followRows(args, take) {
  rows = args ? {arguments: args, take} : null;
  if (wanted) open();
}
