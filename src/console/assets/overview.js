// Overview: what passes now, what failed in the last hour or day, who is busiest, and whether
// resolver and parent answer.

import {get} from './api.js';
import {ChartView, hueOf} from './charts.js';
import {problemBox} from './dialogs.js';
import {fill, foreign, h} from './dom.js';
import * as format from './format.js';
import {live, watch} from './live.js';
import {emptyPlace, loadingPlace} from './table.js';
import {say} from './words.js';

const REFRESH_MS = 5000;
const SERIES_MAX = 8;
const SECONDS_LEAST = 60; // of the chart of what passes
const TOP_ROWS = 8;
const TOPS = ['target', 'client', 'rule', 'user'];

function card(title, ...rest) {
  return h('section.card', h('h2', title), rest);
}

/* ---- tiles */

function tile(name) {
  const value = h('p.tile-value', '–');
  const note = h('p.tile-note');
  return {element: h('div.tile', h('p.tile-name', say(`tile.${name}`)), value, note), value, note};
}

class Tiles {
  constructor() {
    for (const name of ['open', 'rate', 'down', 'up', 'connections', 'failed']) this[name] = tile(name);
    this.meter = h('meter', {min: '0', max: '1', value: '0', 'aria-label': say('tile.connections')});
    this.connections.element.append(this.meter);
    const all = [this.open, this.rate, this.down, this.up, this.connections, this.failed];
    this.element = h(
      'div.tiles',
      all.map((one) => one.element),
    );
  }

  show() {
    const {state, samples} = live;
    if (!state) return;
    const last = samples.at(-1);
    fill(this.open.value, format.count(state.open));
    fill(this.open.note, say('tile.tunnels', {n: format.count(state.tunnels)}));
    fill(this.rate.value, last ? last.flows.toFixed(last.flows < 10 ? 1 : 0) : '–');
    fill(this.rate.note, say('tile.rate_note'));
    fill(this.down.value, last ? format.rate(last.down) : '–');
    fill(this.down.note, say('tile.total', {n: format.bytes(state.bytes_down)}));
    fill(this.up.value, last ? format.rate(last.up) : '–');
    fill(this.up.note, say('tile.total', {n: format.bytes(state.bytes_up)}));
    fill(this.connections.value, format.count(state.connections));
    fill(this.connections.note, say('tile.of', {n: format.count(state.connections_max)}));
    Object.assign(this.meter, {max: state.connections_max || 1, value: state.connections});
  }

  // Nobody knows: what was known before is not left standing.
  hideFailures() {
    fill(this.failed.value, '–');
    fill(this.failed.note);
    this.failed.element.classList.remove('troubled');
  }

  showFailures(flows, failed) {
    fill(this.failed.value, format.percent(failed, flows));
    fill(this.failed.note, say('tile.failed_note', {n: format.count(failed), all: format.count(flows)}));
    this.failed.element.classList.toggle('troubled', failed > 0);
  }
}

/* ---- health */

function healthLine(name, text, kind) {
  return h(`li.${kind}`, h('span.dot'), h('span.health-name', say(`health.${name}`)), h('span.faint', text));
}

// "resolver: 127.0.0.1:53 does not answer", a line each, as /readyz has them.
function readHealth(text) {
  const [first, ...lines] = text.trim().split('\n');
  const items = [
    [first === 'accepting' ? 'accepting' : 'draining', '', first === 'accepting' ? 'good' : 'bad'],
  ];
  for (const line of lines) {
    const [name, ...rest] = line.split(': ');
    const words = rest.join(': ');
    const kind =
      words === 'ok' ? 'good' : words === 'none' || words.startsWith('not looked') ? 'calm' : 'bad';
    if (name === 'resolver' || name === 'parent') items.push([name, words, kind]);
  }
  return items;
}

function healthWords(words) {
  if (words === 'ok') return say('health.ok');
  if (words === 'none') return say('health.none');
  if (words.startsWith('not looked')) return say('health.not_yet');
  return foreign(words);
}

class Health {
  constructor() {
    this.list = h('ul.health', loadingPlace());
    this.facts = h('dl.facts');
    this.element = card(say('health'), this.list, this.facts);
  }

  async load(signal) {
    try {
      const text = await (await fetch('/readyz', {signal})).text();
      fill(
        this.list,
        readHealth(text).map(([name, words, kind]) => healthLine(name, healthWords(words), kind)),
      );
    } catch (error) {
      if (error.name !== 'AbortError') fill(this.list, healthLine('proxy', say('health.gone'), 'bad'));
    }
  }

  show() {
    const {state} = live;
    if (!state) return;
    fill(
      this.facts,
      h('dt', say('health.uptime')),
      h('dd', format.age(state.uptime_us)),
      h('dt', say('health.workers')),
      h('dd', String(state.workers)),
      state.flows_dropped > 0 && [
        h('dt', say('health.dropped')),
        h('dd.bad', format.count(state.flows_dropped)),
      ],
      state.history_lost > 0 && [
        h('dt', say('health.unkept')),
        h('dd.bad', format.count(state.history_lost)),
      ],
    );
  }
}

/* ---- throughput */

class Throughput {
  constructor() {
    this.chart = new ChartView({
      kind: 'line',
      title: say('chart.throughput'),
      value: format.rate,
      binary: true,
      most: 4096,
    });
    this.element = h(
      'section.card.throughput',
      h(
        'div.card-head',
        h('h2', say('chart.throughput')),
        h('p.legend', h('span.key.down', say('down')), h('span.key.up', say('up'))),
      ),
      this.chart.element,
    );
  }

  show() {
    const {samples} = live;
    if (!samples.length) return;
    // what was before the page is left empty, so that time keeps its scale
    const empty = Array.from({length: Math.max(0, SECONDS_LEAST - samples.length)});
    const first = samples[0].at_ms - empty.length * 1000;
    const all = [...empty.map((_, i) => ({at_ms: first + i * 1000, up: null, down: null})), ...samples];
    const whole = (n) => (n === null ? null : Math.round(n));
    this.chart.update(
      all.map((one) => format.second(one.at_ms)),
      [
        {label: say('down'), hue: 'down', data: all.map((one) => whole(one.down))},
        {label: say('up'), hue: 'up', data: all.map((one) => whole(one.up))},
      ],
    );
  }
}

/* ---- failures by verdict */

const CALM = new Set(['ok', 'open']);

function sum(counts) {
  return counts.reduce((a, b) => a + b, 0);
}

// The failures that count most, and the others together.
function failuresOf(charts) {
  const failed = charts.series
    .filter((one) => !CALM.has(one.verdict))
    .map((one) => ({label: one.verdict, data: one.counts, n: sum(one.counts)}))
    .filter((one) => one.n > 0)
    .sort((a, b) => b.n - a.n);
  const shown = failed.slice(0, SERIES_MAX);
  const rest = failed.slice(SERIES_MAX);
  if (rest.length) {
    const data = rest[0].data.map((_, i) => sum(rest.map((one) => one.data[i])));
    shown.push({label: say('chart.others'), data, n: sum(data), others: true});
  }
  return shown.map((one, i) => ({...one, hue: one.others ? 'faint' : hueOf(i)}));
}

class Failures {
  constructor(onSpan) {
    this.chart = new ChartView({
      kind: 'bar',
      stacked: true,
      title: say('chart.failures'),
      value: (n) => format.count(n),
      most: 4,
    });
    this.list = h('ul.verdicts');
    this.empty = h('div', {hidden: true}, emptyPlace(say('chart.no_failures'), ''));
    this.trouble = h('div');
    this.element = h(
      'section.card.failures',
      h('div.card-head', h('h2', say('chart.failures')), spanSwitch(onSpan)),
      this.trouble,
      this.chart.element,
      this.empty,
      this.list,
    );
  }

  show(charts, span) {
    const sets = failuresOf(charts);
    const total = sum(charts.series.map((one) => sum(one.counts)));
    const failed = sum(sets.map((one) => one.n));
    const n = charts.series[0]?.counts.length || 0;
    const labels = Array.from({length: n}, (_, i) =>
      format.minute((charts.from_us + i * charts.step_s * 1e6) / 1000),
    );
    this.trouble.replaceChildren();
    this.chart.element.hidden = sets.length === 0;
    this.empty.hidden = sets.length > 0;
    if (sets.length) this.chart.update(labels, sets);
    fill(
      this.list,
      sets.map((one) => this.#item(one, span)),
    );
    return {total, failed};
  }

  #item(one, span) {
    const name = one.others
      ? h('span', one.label)
      : h('a', {href: `/history?verdict=${encodeURIComponent(one.label)}&range=${span}`}, foreign(one.label));
    const key = h('span.swatch', {'data-hue': one.hue});
    return h('li', key, name, h('span.number', format.count(one.n)));
  }

  complain(problem, again) {
    fill(
      this.trouble,
      problem.code === 'no-history'
        ? emptyPlace(say('history.off'), problem.message)
        : problemBox(problem, again),
    );
    fill(this.list);
    this.empty.hidden = true;
    this.chart.element.hidden = true;
  }
}

function spanSwitch(onSpan) {
  const button = (span, pressed) =>
    h(
      'button',
      {
        type: 'button',
        'aria-pressed': String(pressed),
        click: (event) => {
          event.target.parentNode
            .querySelectorAll('button')
            .forEach((b) => b.setAttribute('aria-pressed', String(b === event.target)));
          onSpan(span);
        },
      },
      say(`span.${span}`),
    );
  return h(
    'div.segments',
    {role: 'group', 'aria-label': say('span')},
    button('hour', true),
    button('day', false),
  );
}

/* ---- who is busiest */

class Top {
  constructor(by) {
    this.by = by;
    this.body = h('div', loadingPlace());
    this.element = card(say(`top.${by}`), this.body);
  }

  async load(span, signal) {
    try {
      const {rows} = await get(`/api/v1/top?span=${span}&by=${this.by}&limit=${TOP_ROWS}`, signal);
      fill(this.body, rows.length ? this.#table(rows, span) : emptyPlace(say('top.none'), ''));
    } catch (problem) {
      if (problem.name === 'AbortError') return;
      fill(
        this.body,
        problem.code === 'no-history' ? emptyPlace(say('history.off_short'), '') : problemBox(problem),
      );
    }
  }

  #table(rows, span) {
    const most = Math.max(...rows.map((row) => row.flows), 1);
    return h(
      'table.plain.top',
      h('caption.only-read', say(`top.${this.by}`)),
      h(
        'thead',
        h(
          'tr',
          h('th', {scope: 'col'}, say('top.name')),
          h('th.number', {scope: 'col'}, say('top.flows')),
          h('th.number', {scope: 'col'}, say('top.failed')),
          h('th.number', {scope: 'col'}, say('top.bytes')),
        ),
      ),
      h(
        'tbody',
        rows.map((row) => this.#row(row, most, span)),
      ),
    );
  }

  #row(row, most, span) {
    const bar = h('span.share');
    bar.style.inlineSize = `${(row.flows / most) * 100}%`;
    const link = h(
      'a',
      {href: `/history?${this.by}=${encodeURIComponent(row.name)}&range=${span}`},
      foreign(row.name || '–'),
    );
    return h(
      'tr',
      h('th', {scope: 'row'}, link, bar),
      h('td.number', format.count(row.flows)),
      h(`td.number${row.failed ? '.bad' : '.faint'}`, format.count(row.failed)),
      h('td.number', format.bytes(row.bytes_up + row.bytes_down)),
    );
  }
}

export function show(place) {
  const stop = new AbortController();
  const tiles = new Tiles();
  const throughput = new Throughput();
  const health = new Health();
  const tops = TOPS.map((by) => new Top(by));
  let span = 'hour';
  const failures = new Failures((name) => {
    span = name;
    load();
  });

  async function load() {
    health.load(stop.signal);
    tops.forEach((top) => top.load(span, stop.signal));
    try {
      const charts = await get(`/api/v1/charts?span=${span}`, stop.signal);
      const {total, failed} = failures.show(charts, span);
      tiles.showFailures(total, failed);
    } catch (problem) {
      if (problem.name === 'AbortError') return;
      failures.complain(problem, load);
      tiles.hideFailures();
    }
  }

  fill(
    place,
    tiles.element,
    h('div.columns.two-one', throughput.element, health.element),
    failures.element,
    h(
      'div.columns.tops',
      tops.map((top) => top.element),
    ),
  );
  const draw = () => [tiles, throughput, health].forEach((part) => part.show());
  const unwatch = watch(draw);
  draw();
  load();
  const timer = setInterval(() => !document.hidden && load(), REFRESH_MS);
  return {
    leave: () => {
      clearInterval(timer);
      unwatch();
      stop.abort();
      throughput.chart.leave();
      failures.chart.leave();
    },
  };
}
