// History: flows that ended, newest first, by what they are asked to be; each opens with its ladder.

import {get, query} from './api.js';
import {problemBox} from './dialogs.js';
import {fill, foreign, h, later, plain} from './dom.js';
import {flowOfHistory, kindOf, openFlow, targetOf, verdictChip} from './flow.js';
import * as format from './format.js';
import {emptyPlace, loadingPlace, Table, twoLines} from './table.js';
import {languageOf, say} from './words.js';

const TEXTS = ['target', 'client', 'user', 'rule', 'text'];
const RANGES = {hour: 3600, day: 86400, week: 7 * 86400, all: 0};
const PAGE = 50;
const PAUSE_MS = 400;

export const VERDICTS = [
  'ok',
  'target-error',
  'proxy-unresolved',
  'proxy-unreachable',
  'proxy-refused',
  'proxy-silent',
  'not-a-proxy',
  'proxy-tls-failed',
  'bad-request',
  'request-timeout',
  'auth-required',
  'auth-failed',
  'auth-unsupported',
  'parent-auth-failed',
  'acl-denied',
  'not-found',
  'proxy-error',
  'loop',
  'upstream-unresolved',
  'upstream-refused',
  'upstream-unreachable',
  'upstream-failed',
  'overloaded',
  'client-limit',
  'upstream-timeout',
  'tls-failed',
  'tls-untrusted',
  'tls-intercepted',
  'stalled',
  'incomplete',
  'size-limit',
  'sni-mismatch',
  'lifetime-limit',
  'reset-by-client',
  'reset-by-proxy',
  'reset-by-target',
  'mtu-blackhole',
  'client-gone',
  'draining',
];

function column(name, more) {
  return {name, label: say(`column.${name}`), ...more};
}

function columns(open) {
  return [
    column('verdict', {
      second: {label: say('column.ended')},
      text: (flow) => flow.verdict,
      cell: (flow) =>
        twoLines(
          verdictChip(flow.verdict, kindOf(flow)),
          `${flow.ended_in}${flow.ended_by ? ` · ${say(`side.${flow.ended_by}`)}` : ''}`,
        ),
    }),
    column('time', {
      second: {label: say('column.duration')},
      className: 'time',
      text: (flow) => flow.start,
      cell: (flow) =>
        twoLines(
          h('time', {datetime: flow.start, title: format.moment(flow.start)}, format.shortMoment(flow.start)),
          format.duration(flow.duration_us),
        ),
    }),
    column('target', {
      second: {label: say('column.rule')},
      className: 'wide',
      rowHead: true,
      text: (flow) => targetOf(flow),
      cell: (flow) =>
        twoLines(
          h(
            'button.link',
            {type: 'button', title: plain(targetOf(flow)), click: () => open(flow.id)},
            foreign(targetOf(flow) || say('flow.no_request')),
          ),
          flow.rule ? foreign(flow.rule) : '–',
        ),
    }),
    column('client', {
      second: {label: say('column.user')},
      text: (flow) => flow.client,
      cell: (flow) => twoLines(foreign(flow.client || '–'), flow.user ? foreign(flow.user) : '–'),
    }),
    column('bytes', {
      className: 'number',
      text: (flow) => `${flow.bytes_down} ${flow.bytes_up}`,
      cell: (flow) => twoLines(`↓ ${format.bytes(flow.bytes_down)}`, `↑ ${format.bytes(flow.bytes_up)}`),
    }),
  ];
}

class History {
  constructor(place, context) {
    this.context = context;
    this.over = new AbortController();
    this.read(context.query);
    this.flows = [];
    this.table = new Table({
      caption: say('page.history'),
      className: 'history',
      columns: columns((id) => this.open(id)),
      key: (flow) => flow.id,
    });
    this.table.element.hidden = true;
    this.trouble = h('div');
    this.empty = h('div', loadingPlace());
    this.count = h('p.count', {role: 'status'});
    this.more = h(
      'button',
      {type: 'button', hidden: true, click: () => this.load(true)},
      say('history.older'),
    );
    fill(context.tools, h('button', {type: 'button', click: () => this.load(false)}, say('refresh')));
    fill(
      place,
      this.#filters(),
      this.trouble,
      this.table.element,
      this.empty,
      h('div.pager', this.count, this.more),
    );
    this.load(false);
    if (context.query.get('flow')) this.open(context.query.get('flow'));
  }

  read(given) {
    const verdicts = (given.get('verdict') || '').split(',').filter((name) => VERDICTS.includes(name));
    this.args = {
      range: given.get('range') || 'day',
      verdicts,
      failed: given.get('failed') === '1',
      since: given.get('since') || '',
      until: given.get('until') || '',
    };
    if (!(this.args.range in RANGES) && this.args.range !== 'own') this.args.range = 'day';
    TEXTS.forEach((name) => (this.args[name] = given.get(name) || ''));
  }

  /* ---- what is asked for */

  #filters() {
    const change = later(PAUSE_MS, () => this.change());
    const text = (name) =>
      h(
        'label.filter',
        h('span', say(`column.${name}`)),
        h('input', {
          type: 'search',
          name,
          value: this.args[name],
          maxlength: '200',
          spellcheck: 'false',
          autocapitalize: 'none',
          input: () => change(),
        }),
      );
    const range = h(
      'select',
      {name: 'range', change: () => change.now()},
      [...Object.keys(RANGES), 'own'].map((name) => h('option', {value: name}, say(`range.${name}`))),
    );
    range.value = this.args.range;
    const own = ['since', 'until'].map((name) =>
      h(
        'label.filter.own',
        h('span', say(`history.${name}`)),
        h('input', {type: 'datetime-local', name, value: this.args[name], change: () => change.now()}),
      ),
    );
    const failed = h('input', {
      type: 'checkbox',
      name: 'failed',
      checked: this.args.failed,
      change: () => change.now(),
    });
    this.form = h(
      'form.filters',
      {
        role: 'search',
        'aria-label': say('filter'),
        submit: (event) => (event.preventDefault(), change.now()),
      },
      h('label.filter.short', h('span', say('range')), range),
      own,
      text('target'),
      text('client'),
      text('user'),
      text('rule'),
      text('text'),
      this.#verdicts(change),
      h('label.tick', failed, h('span', say('history.failed'))),
    );
    this.own = own;
    this.#showOwn();
    return this.form;
  }

  #verdicts(change) {
    const summary = h('summary');
    const boxes = VERDICTS.map((name) =>
      h(
        'label.tick',
        h('input', {
          type: 'checkbox',
          name: 'verdict',
          value: name,
          checked: this.args.verdicts.includes(name),
          change: () => change.now(),
        }),
        h('span', {translate: 'no'}, name),
      ),
    );
    const none = h(
      'button.small',
      {type: 'button', click: () => (boxes.forEach((b) => (b.firstChild.checked = false)), change.now())},
      say('history.any_verdict'),
    );
    this.summary = summary;
    const details = h(
      'details.choice',
      summary,
      h('div.choice-list', {role: 'group', 'aria-label': say('column.verdict')}, none, boxes),
    );
    details.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !details.open) return;
      details.open = false;
      summary.focus();
    });
    // a press on a label moves the focus to what is around the list: that is not leaving it
    details.addEventListener('focusout', ({relatedTarget: next}) => {
      if (next && !details.contains(next) && !next.contains(details)) details.open = false;
    });
    document.addEventListener(
      'pointerdown',
      (event) => !details.contains(event.target) && (details.open = false),
      {signal: this.over.signal},
    );
    this.#showVerdicts();
    return h('div.filter', h('span', {'aria-hidden': 'true'}, say('column.verdict')), details);
  }

  #showVerdicts() {
    const {verdicts} = this.args;
    fill(
      this.summary,
      verdicts.length === 0
        ? say('history.any_verdict')
        : verdicts.length === 1
          ? verdicts[0]
          : say('history.verdicts', {n: verdicts.length}),
    );
    this.summary.setAttribute('aria-label', `${say('column.verdict')}: ${this.summary.textContent}`);
  }

  #showOwn() {
    this.own.forEach((one) => (one.hidden = this.args.range !== 'own'));
  }

  change() {
    const {elements} = this.form;
    TEXTS.forEach((name) => (this.args[name] = elements[name].value.trim()));
    if (elements.range.value === 'own' && this.args.range !== 'own' && !elements.since.value) {
      elements.since.value = format.inputMoment(Date.now() - 3600e3);
    }
    Object.assign(this.args, {
      range: elements.range.value,
      since: elements.since.value,
      until: elements.until.value,
      failed: elements.failed.checked,
      verdicts: [...elements.verdict].filter((box) => box.checked).map((box) => box.value),
    });
    this.#showOwn();
    this.#showVerdicts();
    this.context.setQuery(this.#address());
    this.load(false);
  }

  #address(more) {
    const {range, verdicts, since, until, failed, ...texts} = this.args;
    const own = range === 'own' ? {since, until} : {};
    return query({
      ...texts,
      ...own,
      range: range === 'day' ? '' : range,
      verdict: verdicts.join(','),
      failed: failed ? '1' : '',
      ...more,
    });
  }

  // Moments go out as microseconds.
  #asked(before) {
    const {range, verdicts, since, until, failed, ...texts} = this.args;
    const us = (text) => (text ? new Date(text).getTime() * 1000 : '');
    const from =
      range === 'own'
        ? us(since)
        : RANGES[range]
          ? Math.round((Date.now() - RANGES[range] * 1000) * 1000)
          : '';
    return query({
      ...texts,
      since: from,
      until: range === 'own' ? us(until) : '',
      verdict: verdicts.join(','),
      failed: failed ? '1' : '',
      before,
      limit: PAGE,
    });
  }

  /* ---- what comes */

  async load(older) {
    if (this.request) this.request.abort();
    this.request = new AbortController();
    this.more.disabled = true;
    this.table.element.setAttribute('aria-busy', 'true');
    try {
      const answer = await get(`/api/v1/flows${this.#asked(older ? this.cursor : '')}`, this.request.signal);
      this.take(answer, older);
    } catch (problem) {
      if (problem.name === 'AbortError') return;
      if (problem.code === 'no-history') this.#none(problem.message);
      else this.#complain(problem, older);
    }
    this.more.disabled = false;
    this.table.element.removeAttribute('aria-busy');
  }

  #complain(problem, older) {
    fill(
      this.trouble,
      problemBox(problem, () => this.load(older)),
    );
    if (!this.flows.length) this.empty.replaceChildren();
  }

  // There is no history, or it cannot be read: `message` says which.
  #none(message) {
    this.flows = [];
    this.trouble.replaceChildren();
    this.table.element.hidden = true;
    this.more.hidden = true;
    this.count.replaceChildren();
    fill(
      this.empty,
      emptyPlace(
        say('history.off'),
        h('span', {lang: languageOf(message)}, foreign(message)),
        h('p', h('a.button', {href: '/configuration?tab=edit'}, say('accounts.to_configuration'))),
      ),
    );
  }

  take(answer, older) {
    this.trouble.replaceChildren();
    this.flows = older ? [...this.flows, ...answer.flows] : answer.flows;
    this.cursor = answer.next;
    this.table.update(this.flows);
    this.table.element.hidden = this.flows.length === 0;
    this.more.hidden = !answer.next;
    fill(this.count, this.flows.length ? say('history.count', {n: this.flows.length}) : '');
    if (this.flows.length) this.empty.replaceChildren();
    else fill(this.empty, emptyPlace(say('history.none'), say('history.none_hint')));
  }

  async open(id) {
    this.context.setQuery(this.#address({flow: id}));
    const how = await openFlow(say('flow.title'), () => flowOfHistory(id));
    if (how !== 'left') this.context.setQuery(this.#address());
  }
}

export function show(place, context) {
  const page = new History(place, context);
  return {
    leave: () => {
      page.over.abort();
      page.request?.abort();
    },
  };
}
