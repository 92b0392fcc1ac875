// Access: the rules in the order in which they are tried, what they did, and the test box.

import {ask, get} from './api.js';
import {problemBox} from './dialogs.js';
import {fill, foreign, foreignLines, h} from './dom.js';
import * as format from './format.js';
import {Field, text} from './forms.js';
import {emptyPlace, loadingPlace, Table, twoLines} from './table.js';
import {has, languageOf, say} from './words.js';

const REFRESH_MS = 2000;

function fileName(path) {
  return path.slice(path.lastIndexOf('/') + 1);
}

function actionOf(rule) {
  const kind = rule.action === 'allow' ? 'good' : 'bad';
  return [
    h(`span.chip.${rule.report ? 'calm' : kind}`, {translate: 'no'}, rule.action),
    rule.report && [' ', h('span.chip.mild', say('access.report'))],
  ];
}

function place(rule) {
  if (rule.built_in || !rule.file) return say('access.built_in');
  return h('span', {title: rule.file}, foreign(`${fileName(rule.file)}:${rule.line}`));
}

function number(n) {
  return n ? format.count(n) : h('span.faint', '0');
}

function columns() {
  const column = (name, more) => ({name, label: say(`column.${name}`), ...more});
  return [
    column('order', {className: 'number order', text: (rule) => rule.order}),
    column('action', {text: (rule) => `${rule.action} ${rule.report}`, cell: actionOf}),
    column('rule', {
      className: 'wide',
      rowHead: true,
      text: (rule) => `${rule.name} ${rule.text}`,
      cell: (rule) => twoLines(foreign(rule.name), rule.text ? h('code', foreign(rule.text)) : ''),
    }),
    column('place', {text: (rule) => `${rule.file}:${rule.line}`, cell: place}),
    column('hits', {className: 'number', text: (rule) => rule.hits, cell: (rule) => number(rule.hits)}),
    column('denied', {className: 'number', text: (rule) => rule.denied, cell: (rule) => number(rule.denied)}),
    column('reports', {
      className: 'number',
      text: (rule) => `${rule.report} ${rule.reports}`,
      cell: (rule) => (rule.report ? number(rule.reports) : h('span.faint', '–')),
    }),
    column('last', {
      className: 'number',
      text: (rule) => (rule.last_us ? format.ago(rule.last_us / 1000) : '-'),
      cell: (rule) =>
        rule.last_us
          ? h(
              'time',
              {
                datetime: new Date(rule.last_us / 1000).toISOString(),
                title: format.moment(rule.last_us / 1000),
              },
              format.ago(rule.last_us / 1000),
            )
          : h('span.faint', say('access.never')),
    }),
  ];
}

/* ---- the test box */

class TestBox {
  constructor() {
    const field = (name, attributes) =>
      new Field({
        name,
        label: say(`access.${name}`),
        input: text(attributes),
        className: name === 'target' ? 'grow' : '',
      });
    this.fields = [
      field('target', {required: true, placeholder: 'updates.example.net:443'}),
      field('client', {placeholder: '127.0.0.1'}),
      field('user', {}),
      field('method', {placeholder: 'CONNECT', maxlength: '40'}),
    ];
    this.result = h('div.test-result', {'aria-live': 'polite'});
    const send = (event) => {
      event.preventDefault();
      this.ask();
    };
    this.element = h(
      'section.card',
      h('h2', say('access.test')),
      h('p.faint', say('access.test_hint')),
      h(
        'form.line-form',
        {submit: send},
        this.fields.map((f) => f.element),
        h('button.primary', {type: 'submit'}, say('access.ask')),
      ),
      this.result,
    );
  }

  async ask() {
    const body = {};
    fill(this.result);
    for (const field of this.fields) {
      field.show([]);
      const value = field.input.value.trim();
      if (value) body[field.name] = value;
    }
    try {
      this.#show(await ask('POST', '/api/v1/access/test', body));
    } catch (problem) {
      const field = this.fields.find((f) => f.name === problem.field);
      if (field) field.show([problem.message]);
      else fill(this.result, problemBox(problem));
    }
  }

  #show(answer) {
    const {decision, rule} = answer;
    const kind = decision === 'allowed' ? 'good' : decision === 'denied' ? 'bad' : 'mild';
    const key = `decision.${decision.replaceAll(' ', '_')}`;
    fill(
      this.result,
      h(
        'p.decision',
        h(`span.chip.${kind}`, has(key) ? say(key) : foreign(decision)),
        rule && [
          ' ',
          h('span.faint', say('access.by')),
          ' ',
          foreign(rule.name),
          ' ',
          h('span.faint', '(', place(rule), ')'),
        ],
      ),
      h(
        'pre.output',
        {tabindex: '0', lang: languageOf(answer.text), 'aria-label': say('access.answer')},
        foreignLines(answer.text.trimEnd()),
      ),
    );
  }
}

export function show(page, context) {
  const stop = new AbortController();
  const box = new TestBox();
  const table = new Table({
    caption: say('access.rules'),
    className: 'rules',
    columns: columns(),
    key: (rule) => `${rule.order} ${rule.name}`,
  });
  const body = h('div', loadingPlace());
  const trouble = h('div');

  async function load() {
    try {
      const {rules, default: otherwise} = await get('/api/v1/access', stop.signal);
      table.update(rules.map((rule, i) => ({...rule, order: i + 1})));
      trouble.replaceChildren();
      if (!table.element.isConnected) {
        fill(
          body,
          rules.length ? table.element : emptyPlace(say('access.none'), ''),
          h('p.faint.after', say(`access.default_${otherwise === 'allow' ? 'allow' : 'deny'}`)),
        );
      }
    } catch (problem) {
      if (problem.name === 'AbortError') return;
      fill(trouble, problemBox(problem, load));
      if (!table.element.isConnected) body.replaceChildren();
    }
  }

  fill(page, box.element, h('section', h('h2', say('access.rules')), trouble, body));
  fill(context.tools, h('a.button', {href: '/configuration?tab=edit'}, say('access.edit')));
  load();
  const timer = setInterval(() => !document.hidden && load(), REFRESH_MS);
  return {
    leave: () => {
      clearInterval(timer);
      stop.abort();
    },
  };
}
