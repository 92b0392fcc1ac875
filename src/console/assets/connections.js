// Connections: the flows under way, sorted and cut into pages by the proxy, brought up to date each
// second by the tab's stream of events.

import {ask, get, query} from './api.js';
import {askFirst, notice, problemBox} from './dialogs.js';
import {fill, foreign, h, later, plain} from './dom.js';
import {openFlow, targetOf} from './flow.js';
import * as format from './format.js';
import {icon} from './icons.js';
import {phaseUnderWay} from './ladder.js';
import {followRows} from './live.js';
import {emptyPlace, loadingPlace, Table, twoLines} from './table.js';
import {say} from './words.js';

const FILTERS = ['client', 'user', 'target', 'rule'];
const ORDERS = ['age', 'idle', 'phase', 'client', 'user', 'target', 'rule', 'up', 'down'];
const LIMITS = [25, 50, 100];
const REASON_MAX = 200;
const PAUSE_MS = 300;

function phaseOf(row) {
  return row.phase || phaseUnderWay(row.flow);
}

/* ---- the table */

function legText(leg) {
  return leg ? `${leg.rtt_us}|${leg.retransmissions}|${leg.pmtu}` : '';
}

function legCell(leg) {
  if (!leg) return twoLines('–', '');
  const again = leg.retransmissions
    ? h('span.warn', say('leg.again', {n: leg.retransmissions}))
    : say('leg.again', {n: 0});
  return twoLines(`${format.milliseconds(leg.rtt_us)} ms`, [again, ' · ', String(leg.pmtu)]);
}

function column(name, more) {
  return {name, label: say(`column.${name}`), sort: ORDERS.includes(name) ? name : null, ...more};
}

function below(name) {
  return {label: say(`column.${name}`), sort: ORDERS.includes(name) ? name : null};
}

function columns(rates, open, end) {
  const rate = (row, way) => format.rate(rates.of(row.flow.id)[way]);
  return [
    column('phase', {
      second: below('method'),
      text: (row) => `${phaseOf(row)} ${row.flow.method}`,
      cell: (row) =>
        twoLines(h('span.chip.open', {translate: 'no'}, phaseOf(row)), foreign(row.flow.method || '')),
    }),
    column('client', {
      second: below('user'),
      text: (row) => `${row.flow.client} ${row.flow.user}`,
      cell: (row) => twoLines(foreign(row.flow.client || '–'), row.flow.user ? foreign(row.flow.user) : '–'),
    }),
    column('target', {
      second: below('rule'),
      className: 'wide',
      rowHead: true,
      text: (row) => `${targetOf(row.flow)} ${row.flow.rule}`,
      cell: (row) =>
        twoLines(
          h(
            'button.link',
            {type: 'button', title: plain(targetOf(row.flow)), click: () => open(row)},
            foreign(targetOf(row.flow) || '–'),
          ),
          row.flow.rule ? foreign(row.flow.rule) : '–',
        ),
    }),
    column('age', {
      second: below('idle'),
      className: 'number',
      text: (row) => `${format.age(row.flow.duration_us)} ${format.age(row.idle_us)}`,
      cell: (row) => twoLines(format.age(row.flow.duration_us), format.age(row.idle_us)),
    }),
    ...['up', 'down'].map((way) =>
      column(way, {
        second: {label: say(`column.rate_${way}`)},
        className: 'number',
        text: (row) => `${row.flow[`bytes_${way}`]} ${rate(row, way)}`,
        cell: (row) => twoLines(format.bytes(row.flow[`bytes_${way}`]), rate(row, way)),
      }),
    ),
    ...['client', 'upstream'].map((side) =>
      column(`leg_${side}`, {
        second: {label: say('column.leg_second')},
        className: 'number',
        text: (row) => legText(row.flow.tcp[side]),
        cell: (row) => legCell(row.flow.tcp[side]),
      }),
    ),
    column('end', {
      hideLabel: true,
      cardLabel: '',
      className: 'action',
      text: (row) => `${row.flow.client} ${targetOf(row.flow)}`, // it names both
      cell: (row) =>
        h(
          'button.small',
          {
            type: 'button',
            'aria-label': say('connections.end_of', {
              target: plain(targetOf(row.flow)),
              client: plain(row.flow.client || ''),
            }),
            click: () => end(row),
          },
          say('connections.end'),
        ),
    }),
  ];
}

// Bytes a second, out of two updates.
class Rates {
  constructor() {
    this.before = new Map();
    this.known = new Map();
  }

  take(rows) {
    const now = performance.now();
    const next = new Map();
    const known = new Map();
    for (const {flow} of rows) {
      const old = this.before.get(flow.id);
      const seconds = old ? (now - old.at) / 1000 : 0;
      if (old && seconds > 0.4) {
        known.set(flow.id, {
          up: Math.max(0, flow.bytes_up - old.up) / seconds,
          down: Math.max(0, flow.bytes_down - old.down) / seconds,
        });
      } else if (this.known.has(flow.id)) known.set(flow.id, this.known.get(flow.id));
      next.set(flow.id, old && seconds <= 0.4 ? old : {at: now, up: flow.bytes_up, down: flow.bytes_down});
    }
    this.before = next;
    this.known = known;
  }

  of(id) {
    return this.known.get(id) || {up: 0, down: 0};
  }
}

/* ---- the page */

class Connections {
  constructor(place, context) {
    this.context = context;
    this.read(context.query);
    this.rates = new Rates();
    this.table = new Table({
      caption: say('page.connections'),
      className: 'connections',
      columns: columns(
        this.rates,
        (row) => this.open(row),
        (row) => this.end(row),
      ),
      key: (row) => row.flow.id,
      rowClass: (row) => (row.flow.warnings.length ? 'mild' : ''),
      order: {sort: this.args.sort, order: this.args.order},
      onSort: (sort, order) => this.change({sort, order, offset: 0}),
    });
    this.count = h('p.count', {role: 'status'});
    this.trouble = h('div');
    this.empty = h('div', loadingPlace());
    this.previous = h(
      'button.small',
      {type: 'button', click: () => this.turn(-1)},
      icon('previous'),
      say('previous'),
    );
    this.next = h('button.small', {type: 'button', click: () => this.turn(1)}, say('next'), icon('next'));
    this.table.element.hidden = true;
    fill(
      place,
      this.#tools(),
      this.trouble,
      this.table.element,
      this.empty,
      h('div.pager', this.count, this.previous, this.next),
    );
    this.follow();
  }

  read(given) {
    const order = ORDERS.includes(given.get('sort')) ? given.get('sort') : 'age';
    this.args = {
      sort: order,
      order: given.get('order') === 'desc' ? 'desc' : 'asc',
      offset: Number.parseInt(given.get('offset'), 10) || 0,
      limit: LIMITS.includes(Number(given.get('limit'))) ? Number(given.get('limit')) : 50,
    };
    FILTERS.forEach((name) => (this.args[name] = given.get(name) || ''));
  }

  #tools() {
    const change = later(PAUSE_MS, () => this.change({offset: 0, ...this.#filters()}));
    const inputs = FILTERS.map((name) =>
      h(
        'label.filter',
        h('span', say(`column.${name}`)),
        h('input', {
          type: 'search',
          name,
          value: this.args[name],
          maxlength: '120',
          spellcheck: 'false',
          autocapitalize: 'none',
          input: () => change(),
        }),
      ),
    );
    this.form = h(
      'form.filters',
      {
        role: 'search',
        'aria-label': say('filter'),
        submit: (event) => (event.preventDefault(), change.now()),
      },
      inputs,
      this.#orderTools(),
    );
    return this.form;
  }

  #orderTools() {
    const sort = h(
      'select',
      {name: 'sort', change: () => this.change({sort: sort.value, offset: 0})},
      ORDERS.map((name) => h('option', {value: name}, say(`column.${name}`))),
    );
    const order = h(
      'select',
      {name: 'order', 'aria-label': say('order'), change: () => this.change({order: order.value, offset: 0})},
      ['asc', 'desc'].map((name) => h('option', {value: name}, say(`order.${name}`))),
    );
    const limit = h(
      'select',
      {name: 'limit', change: () => this.change({limit: Number(limit.value), offset: 0})},
      LIMITS.map((n) => h('option', {value: n}, String(n))),
    );
    sort.value = this.args.sort;
    order.value = this.args.order;
    limit.value = this.args.limit;
    this.selects = {sort, order};
    return [
      h('label.filter.on-cards', h('span', say('sort')), h('span.pair', sort, order)),
      h('label.filter.short', h('span', say('rows')), limit),
    ];
  }

  #filters() {
    return Object.fromEntries(FILTERS.map((name) => [name, this.form.elements[name].value.trim()]));
  }

  change(values) {
    Object.assign(this.args, values);
    this.selects.sort.value = this.args.sort;
    this.selects.order.value = this.args.order;
    this.table.setOrder(this.args.sort, this.args.order);
    this.counted = null;
    this.page = null;
    const {sort, order, offset, limit, ...filters} = this.args;
    this.context.setQuery(
      query({
        ...filters,
        sort: sort === 'age' ? '' : sort,
        order: order === 'asc' ? '' : order,
        offset: offset || '',
        limit: limit === 50 ? '' : limit,
      }),
    );
    this.follow();
  }

  // The first rows come at once, the next by the stream.
  async follow() {
    if (this.request) this.request.abort();
    this.request = new AbortController();
    followRows(this.args, (page) => this.take(page));
    try {
      this.take(await get(`/api/v1/connections${query(this.args)}`, this.request.signal));
    } catch (problem) {
      if (problem.name !== 'AbortError')
        fill(
          this.trouble,
          problemBox(problem, () => this.follow()),
        );
    }
  }

  take(page) {
    this.trouble.replaceChildren();
    if (!page.whole && this.page) {
      this.#showCount({...page, rows: this.page.rows}); // rows of a worker that is late would come and go
      return;
    }
    if (page.matching > 0 && page.rows.length === 0 && this.args.offset > 0) {
      this.change({offset: 0}); // the page that was shown is no more
      return;
    }
    this.page = page;
    this.rates.take(page.rows);
    this.table.update(page.rows);
    this.table.element.hidden = page.rows.length === 0;
    this.#showEmpty(page);
    this.#showCount(page);
  }

  #showEmpty(page) {
    const kind = page.rows.length ? 'none' : page.open ? 'filtered' : 'quiet';
    if (this.emptyKind === kind) return;
    this.emptyKind = kind;
    if (kind === 'none') this.empty.replaceChildren();
    else fill(this.empty, emptyPlace(say(`connections.${kind}`), say(`connections.${kind}_hint`)));
  }

  #showCount(page) {
    const {offset, limit} = this.args;
    const from = page.rows.length ? offset + 1 : 0;
    const text = say('connections.count', {
      from,
      to: offset + page.rows.length,
      n: format.count(page.matching),
      open: format.count(page.open),
    });
    this.previous.disabled = offset === 0;
    this.next.disabled = offset + limit >= page.matching;
    // it changes each second: read out is only what one asked for
    this.count.setAttribute('aria-live', this.counted ? 'off' : 'polite');
    const late = page.whole ? '' : ` ${say('connections.partial')}`;
    if (this.counted !== text + late) fill(this.count, text, late && h('span.warn', late));
    this.counted = text + late;
  }

  turn(by) {
    this.change({offset: Math.max(0, this.args.offset + by * this.args.limit)});
  }

  open(row) {
    const load = async () => {
      const now = await get(`/api/v1/connections/${row.flow.id}`);
      return {...now.flow, phase: now.phase};
    };
    openFlow(say('flow.title'), load, (flow, close) =>
      h('button.danger', {type: 'button', click: () => (close(), this.end(row))}, say('connections.end')),
    );
  }

  async end(row) {
    const target = foreign(targetOf(row.flow));
    const reason = h('input', {
      id: 'reason',
      name: 'reason',
      maxlength: String(REASON_MAX),
      autofocus: true,
      autocomplete: 'off',
    });
    const ended = await askFirst({
      title: say('connections.end_title'),
      text: h('span.break', target, ' ← ', foreign(row.flow.client || '')),
      fields: [
        h(
          'div.field',
          h('label', {for: 'reason'}, say('connections.reason')),
          reason,
          h('p.hint', say('connections.reason_hint')),
        ),
      ],
      action: say('connections.end'),
      danger: true,
      act: () => ask('DELETE', `/api/v1/connections/${row.flow.id}${query({reason: reason.value.trim()})}`),
    });
    if (ended) notice(say('connections.ended'));
  }

  leave() {
    followRows(null);
    if (this.request) this.request.abort();
  }
}

export function show(place, context) {
  const page = new Connections(place, context);
  return {leave: () => page.leave()};
}
