// A flow's ladder: for each phase its name and time, a bar on a common axis, and what is to be said
// of it.  Places are percentages, sizes pixels, so that text keeps its size at any width.
//
// A transfer of ten minutes leaves no room for a handshake of ten milliseconds: where one phase
// takes more than CUT_FROM of the time, its middle is cut out of the axis, and that is shown.

import {plain, s, uniqueId} from './dom.js';
import {duration} from './format.js';
import {say} from './words.js';

export const PHASES = [
  'resolve',
  'connect',
  'proxy-tls',
  'request',
  'answer',
  'tls',
  'exchange',
  'transfer',
  'close',
];

const CUT_FROM = 0.7;
const CUT_WIDTH = 45;
const BAR_LEAST = 0.8;
const ROW = 31;
const DETAIL = 15;
const LINE = 12;
const BAR_TOP = 17;
const BAR_HEIGHT = 8;
const AXIS = 34;
const MOMENTS_MAX = 9;
const DETAIL_MAX = 160;

// The phase that a flow without an end is in: what follows the last one it names.
export function phaseUnderWay(flow) {
  const done = flow.phases.map((p) => PHASES.indexOf(p.phase));
  const next = Math.max(-1, ...done) + 1;
  if (flow.source === 'serve' && flow.method === 'CONNECT' && flow.status === 200) return 'transfer';
  return PHASES[Math.min(next, PHASES.length - 1)];
}

function isTimed(phase) {
  return phase.outcome === 'ok' || phase.outcome === 'failed' || phase.outcome === 'open';
}

function endOf(phase) {
  return phase.start_us + phase.duration_us;
}

function rowsOf(flow, elapsed) {
  const rows = flow.phases.map((p) => ({...p}));
  if (flow.verdict !== 'open') return rows;
  const start = Math.max(0, ...rows.filter(isTimed).map(endOf));
  const name = flow.phase || phaseUnderWay(flow);
  if (rows.some((p) => p.phase === name)) return rows;
  const until = Math.max(elapsed || 0, flow.duration_us, start);
  rows.push({phase: name, start_us: start, duration_us: until - start, outcome: 'open', detail: ''});
  return rows;
}

class Axis {
  constructor(flow, rows) {
    const timed = rows.filter(isTimed);
    this.total = Math.max(1, flow.duration_us, ...timed.map(endOf));
    const long = timed.find((p) => p.duration_us >= this.total * CUT_FROM);
    this.cut = long && this.total - long.duration_us >= 1 ? long : null;
  }

  place(us) {
    if (!this.cut) return (us / this.total) * 100;
    const from = this.cut.start_us;
    const width = this.cut.duration_us;
    const rest = this.total - width;
    if (us <= from) return (us / rest) * (100 - CUT_WIDTH);
    if (us >= from + width) return 100 - ((this.total - us) / rest) * (100 - CUT_WIDTH);
    return (from / rest) * (100 - CUT_WIDTH) + ((us - from) / width) * CUT_WIDTH;
  }
}

function percent(x) {
  return `${Math.min(100, Math.max(0, x)).toFixed(2)}%`;
}

function textAt(name, x, y, text) {
  const anchor = x > 88 ? 'end' : x > 12 ? 'middle' : null;
  return s(`text.${name}`, {x: percent(x), y, 'text-anchor': anchor}, text);
}

function upright(name, x, from, to) {
  return s(`line.${name}`, {x1: percent(x), x2: percent(x), y1: from, y2: to});
}

function box(name, x, width, y, height) {
  return s(`rect.${name}`, {x: percent(x), width: percent(width), y, height, rx: height > 5 ? 2 : null});
}

function detailOf(row) {
  const steps = (row.steps || []).map(
    (one) => `${one.step} ${duration(one.duration_us)}${one.detail ? ` (${one.detail})` : ''}`,
  );
  const text = plain([row.detail, steps.join(', ')].filter(Boolean).join('; '));
  return text.length > DETAIL_MAX ? `${text.slice(0, DETAIL_MAX)}…` : text;
}

function timeOf(row) {
  if (row.outcome === 'ok') return duration(row.duration_us);
  if (row.outcome === 'open') return `${duration(row.duration_us)} …`;
  const outcome = say(`outcome.${row.outcome}`);
  return row.outcome === 'failed' ? `${outcome}, ${duration(row.duration_us)}` : outcome;
}

function bar(axis, row, y) {
  const from = Math.min(axis.place(row.start_us), 100 - BAR_LEAST);
  const to = Math.max(axis.place(endOf(row)), from + BAR_LEAST);
  const parts = [box(`v-${row.outcome}`, from, to - from, y, BAR_HEIGHT)];
  if (axis.cut && axis.cut.phase === row.phase) {
    const middle = axis.place(row.start_us + row.duration_us / 2);
    parts.push(upright('v-gap', middle, y - 2, y + BAR_HEIGHT + 2));
    parts.push(upright('v-gap', middle + 1.4, y - 2, y + BAR_HEIGHT + 2));
  }
  return parts;
}

function drawRow(axis, row, y) {
  const detail = detailOf(row);
  return [
    textAt('v-name', 0, y + LINE, row.phase),
    textAt(row.outcome === 'failed' ? 'v-bad' : 'v-faint', 100, y + LINE, timeOf(row)),
    box('v-track', 0, 100, y + BAR_TOP + BAR_HEIGHT / 2, 1),
    isTimed(row) && bar(axis, row, y + BAR_TOP),
    detail && textAt('v-faint', 0, y + ROW + 6, detail),
  ];
}

function axisLine(axis, y) {
  const marks = [0];
  if (!axis.cut) marks.push(axis.total / 2);
  else {
    if (axis.place(axis.cut.start_us) > 16) marks.push(axis.cut.start_us);
    if (axis.place(endOf(axis.cut)) < 84) marks.push(endOf(axis.cut));
  }
  marks.push(axis.total);
  return [
    box('v-track', 0, 100, y, 1),
    marks.map((us) => textAt('v-tick', axis.place(us), y + 24, duration(us))),
  ];
}

const UNITS = {s: 1e6, ms: 1e3, us: 1};

// The evidence that names a time since the flow began: "at 3.021 s".
function momentsOf(flow, axis) {
  const moments = [];
  flow.evidence.forEach((text, i) => {
    const found = /(?:^|[ (])at (\d+(?:\.\d+)?) (s|ms|us)(?=$|[ ,;:)])/.exec(text);
    if (!found || moments.length >= MOMENTS_MAX) return;
    const us = Number(found[1]) * UNITS[found[2]];
    if (us <= axis.total) moments.push({x: axis.place(us), number: i + 1});
  });
  return moments.filter((m) => m.x > 0.5 && m.x < 99.5);
}

function numbers(moments, y) {
  const free = moments.filter((m, i) => !moments.slice(0, i).some((o) => Math.abs(o.x - m.x) < 3));
  return free.map((m) => s('text.v-number', {x: percent(m.x), y: y + 11}, String(m.number)));
}

function describe(rows) {
  return rows
    .map(
      (row) =>
        `${row.phase} ${say(`outcome.${row.outcome}`)} ${isTimed(row) ? duration(row.duration_us) : ''}`,
    )
    .join('; ');
}

// The drawing; `elapsed`: µs since a flow began that is still open.
export function ladder(flow, elapsed) {
  const rows = rowsOf(flow, elapsed);
  const axis = new Axis(flow, rows);
  const moments = momentsOf(flow, axis);
  const id = uniqueId('ladder');
  const drawn = [];
  let y = 0;
  for (const row of rows) {
    drawn.push(drawRow(axis, row, y));
    y += ROW + (detailOf(row) ? DETAIL : 0);
  }
  return s(
    'svg.v-ladder',
    {role: 'img', 'aria-labelledby': `${id}-t ${id}-d`, width: '100%', height: y + AXIS},
    s('title', {id: `${id}-t`}, say('ladder.title')),
    s('desc', {id: `${id}-d`}, describe(rows)),
    moments.map((m) => upright('v-moment', m.x, 0, y)),
    drawn,
    axisLine(axis, y),
    numbers(moments, y),
  );
}
