// Configuration: what is in force with each value's origin; the file, edited with its faults at
// their line; what was before; and who changed what.

import {ask, get} from './api.js';
import {askFirst, notice, openDialog, problemBox} from './dialogs.js';
import {fill, foreign, foreignLines, h, later, plain} from './dom.js';
import {Editor} from './editor.js';
import {targetOf} from './flow.js';
import * as format from './format.js';
import {readOnlyNote} from './forms.js';
import {emptyPlace, loadingPlace} from './table.js';
import {languageOf, say} from './words.js';

const TABS = ['effective', 'edit', 'versions', 'changes'];
const PAUSE_MS = 500;
const DENIED_SHOWN = 20;

/* ---- what is in force */

// "    connections 20000;  # default": the origin apart from the value.
function effectiveLine(line) {
  const at = line.lastIndexOf('  # ');
  if (at < 0) return foreign(line);
  const origin = line.slice(at + 4);
  const kind = origin === 'default' || origin === 'built in' ? 'faint' : 'own';
  const short = origin.slice(origin.lastIndexOf('/') + 1);
  return [
    h(`span.value.${kind}`, foreign(line.slice(0, at))),
    h(`span.origin.${kind}`, {title: plain(origin)}, foreign(short)),
  ];
}

function restartNote(answer) {
  return answer.restart && h('p.note.warn', say('configuration.restart', {names: answer.restart}));
}

function effective(answer) {
  return h(
    'section',
    h('p.faint.intro', say('configuration.effective_hint')),
    restartNote(answer),
    h(
      'pre.effective',
      {tabindex: '0', 'aria-label': say('tab.effective')},
      answer.effective
        .trimEnd()
        .split('\n')
        .map((line) => h('span.row', effectiveLine(line))),
    ),
  );
}

/* ---- the difference */

function diffLine(line) {
  const kind = line.startsWith('@@')
    ? 'place'
    : /^(\+\+\+|---)/.test(line)
      ? 'file'
      : line[0] === '+'
        ? 'more'
        : line[0] === '-'
          ? 'less'
          : 'same';
  return h(`span.row.${kind}`, foreign(line));
}

function diffView(text) {
  return h(
    'pre.diff',
    {tabindex: '0', 'aria-label': say('configuration.diff')},
    text.trimEnd().split('\n').map(diffLine),
  );
}

/* ---- the file */

// A file that is not to be seen is not edited.
function unreadable(answer) {
  return h('section', readOnlyNote(say('configuration.unreadable'), answer.why_not, answer.file));
}

class EditTab {
  constructor(answer, changed) {
    this.answer = answer;
    this.changed = changed; // called after the file was changed
    this.editor = new Editor({
      value: answer.text,
      readOnly: !answer.writable,
      label: say('configuration.file'),
      onInput: () => this.typed(),
    });
    this.unchanged = this.editor.value;
    this.asked = 0;
    this.judge = later(PAUSE_MS, () => this.check());
    this.problems = h('div.problems', {'aria-live': 'polite'});
    this.outcome = h('div.judged');
    this.apply = h(
      'button.primary',
      {type: 'button', disabled: true, click: () => this.save()},
      say('configuration.apply'),
    );
    this.undo = h(
      'button',
      {type: 'button', disabled: true, click: () => this.reset()},
      say('configuration.undo'),
    );
    this.element = h(
      'section',
      answer.writable ? null : readOnlyNote(say('configuration.read_only'), answer.why_not, null),
      answer.file && h('p.faint.file', h('code', foreign(answer.file))),
      this.editor.element,
      this.problems,
      answer.writable &&
        h('div.actions', this.apply, this.undo, h('p.hint', say('configuration.apply_hint'))),
      this.outcome,
    );
  }

  // The editor ends lines with LF alone; the file keeps what it had.
  get text() {
    const {value} = this.editor;
    return this.answer.text.includes('\r\n') ? value.replaceAll('\n', '\r\n') : value;
  }

  isDirty() {
    return this.editor.value !== this.unchanged;
  }

  // Nothing is applied before it was judged; an answer that is under way is of another text.
  typed() {
    this.asked += 1;
    this.apply.disabled = true;
    this.judge();
  }

  reset() {
    this.editor.value = this.answer.text;
    this.check();
  }

  put(text) {
    this.editor.value = text;
    this.check();
  }

  async check() {
    this.asked += 1;
    const {asked} = this;
    this.undo.disabled = !this.isDirty();
    this.apply.disabled = true;
    let judged;
    try {
      judged = await ask('POST', '/api/v1/configuration/check', {text: this.text});
    } catch (problem) {
      if (asked === this.asked)
        fill(
          this.outcome,
          problemBox(problem, () => this.check()),
        );
      return;
    }
    if (asked !== this.asked) return;
    this.judged = judged;
    this.#showProblems(judged.problems);
    this.#showOutcome(judged);
    this.apply.disabled = !this.isDirty() || judged.problems.some((one) => !one.warning);
  }

  #showProblems(problems) {
    this.editor.mark(problems);
    fill(
      this.problems,
      problems.length > 0 && [
        h('p.problems-title', say('configuration.problems', {n: problems.length})),
        h(
          'ul',
          problems.map((one) => this.#problem(one)),
        ),
      ],
    );
  }

  #problem(one) {
    const text = one.message.replace(/^[^\n]*?:\d+:\d+: /, '');
    const go = () => this.editor.goTo(one.line, one.column);
    return h(
      `li.${one.warning ? 'mild' : 'bad'}`,
      h(
        'button.link',
        {type: 'button', click: go},
        say('configuration.line', {line: one.line, column: one.column}),
      ),
      ' ',
      h('span', {lang: languageOf(text)}, foreign(text)),
    );
  }

  #showOutcome(judged) {
    if (!judged.diff) {
      fill(this.outcome);
      return;
    }
    const denied = judged.denied_count || 0;
    fill(
      this.outcome,
      restartNote(judged),
      denied > 0 &&
        h(
          'div.note.warn',
          h('p', h('strong', say('configuration.denied', {n: denied}))),
          h('p', say('configuration.denied_hint')),
          h(
            'ul.denied',
            judged.denied
              .slice(0, DENIED_SHOWN)
              .map((flow) =>
                h(
                  'li',
                  foreign(targetOf(flow)),
                  h(
                    'span.faint',
                    ' ← ',
                    foreign(flow.client || ''),
                    flow.user ? [' · ', foreign(flow.user)] : '',
                    flow.rule ? [' · ', foreign(flow.rule)] : '',
                  ),
                ),
              ),
          ),
          denied > DENIED_SHOWN && h('p.faint', say('configuration.denied_more', {n: denied - DENIED_SHOWN})),
        ),
      h('h2', say('configuration.diff')),
      diffView(judged.diff),
    );
  }

  async save() {
    const denied = this.judged?.denied_count || 0;
    const done = await askFirst({
      title: say('configuration.apply_title'),
      text: denied ? say('configuration.apply_denied', {n: denied}) : say('configuration.apply_text'),
      fields: this.judged?.diff ? [restartNote(this.judged), diffView(this.judged.diff)] : [],
      action: say('configuration.apply'),
      act: () =>
        ask('PUT', '/api/v1/configuration', {text: this.text, base: this.answer.base}).catch((problem) =>
          this.#refused(problem),
        ),
    });
    if (!done) return;
    const {restart} = this.judged;
    notice(restart ? say('configuration.applied_later', {names: restart}) : say('configuration.applied'));
    this.changed();
  }

  #refused(problem) {
    if (problem.body?.problems) this.#showProblems(problem.body.problems);
    throw problem;
  }
}

/* ---- what was before */

class VersionsTab {
  constructor(answer, put) {
    this.put = put;
    const {versions} = answer;
    this.element = h(
      'section',
      h('p.faint.intro', say('configuration.versions_hint')),
      versions.length
        ? h(
            'ul.versions',
            versions.map((one) => this.#version(one, answer.writable)),
          )
        : emptyPlace(say('configuration.no_versions'), say('configuration.no_versions_hint')),
    );
  }

  #version(one, writable) {
    const at = one.time_us / 1000;
    const label = format.moment(at);
    return h(
      'li',
      h(
        'div',
        h('strong', h('time', {datetime: new Date(at).toISOString()}, label)),
        ' ',
        h('span.faint', format.ago(at), one.who ? [' · ', foreign(one.who)] : ''),
      ),
      h(
        'div.row-actions',
        h(
          'button.small',
          {
            type: 'button',
            'aria-label': `${say('configuration.view')}: ${label}`,
            click: () => this.#view(one, label),
          },
          say('configuration.view'),
        ),
        writable &&
          h(
            'button.small',
            {
              type: 'button',
              'aria-label': `${say('configuration.return')}: ${label}`,
              click: () => this.#back(one),
            },
            say('configuration.return'),
          ),
      ),
    );
  }

  async #text(one) {
    return (await get(`/api/v1/configuration/versions/${encodeURIComponent(one.id)}`)).text;
  }

  #view(one, label) {
    openDialog({
      title: label,
      className: 'sheet',
      build: () => {
        const body = h('div.dialog-body', loadingPlace());
        this.#text(one).then(
          (text) => fill(body, h('pre.output', {tabindex: '0'}, foreignLines(text))),
          (problem) => fill(body, problemBox(problem)),
        );
        return body;
      },
    });
  }

  async #back(one) {
    try {
      this.put(await this.#text(one));
    } catch (problem) {
      notice(problem.words, 'bad');
    }
  }
}

/* ---- who changed what */

function changes() {
  const body = h('div', loadingPlace());
  const load = async () => {
    try {
      const {entries} = await get('/api/v1/audit?limit=200');
      const rows = entries.reverse().map((one) =>
        h(
          'li',
          h('time', {datetime: one.time}, format.moment(one.time)),
          h('span.audit-who', foreign(one.who)),
          h('span', {lang: languageOf(one.what)}, foreign(one.what)),
        ),
      );
      fill(body, rows.length ? h('ul.audit', rows) : emptyPlace(say('configuration.no_changes'), ''));
    } catch (problem) {
      fill(body, problemBox(problem, load));
    }
  };
  load();
  return h('section', h('p.faint.intro', say('configuration.changes_hint')), body);
}

/* ---- the page */

class Configuration {
  constructor(place, context) {
    this.context = context;
    this.tab = TABS.includes(context.query.get('tab')) ? context.query.get('tab') : 'effective';
    this.tabs = TABS.map((name) =>
      h(
        'button',
        {
          type: 'button',
          role: 'tab',
          id: `tab-${name}`,
          'aria-controls': 'tab-panel',
          click: () => this.choose(name),
          keydown: (event) => this.#key(event),
        },
        say(`tab.${name}`),
      ),
    );
    this.panel = h('div', {role: 'tabpanel', id: 'tab-panel'}, loadingPlace());
    fill(
      place,
      h('div.tabs', {role: 'tablist', 'aria-label': say('page.configuration')}, this.tabs),
      this.panel,
    );
    this.#mark();
    this.load();
  }

  #key(event) {
    const step = {ArrowRight: 1, ArrowLeft: -1, Home: -TABS.length, End: TABS.length}[event.key];
    if (!step) return;
    event.preventDefault();
    const now = TABS.indexOf(this.tab);
    const next =
      Math.abs(step) === 1 ? (now + step + TABS.length) % TABS.length : step < 0 ? 0 : TABS.length - 1;
    this.choose(TABS[next]);
    this.tabs[next].focus();
  }

  #mark() {
    this.tabs.forEach((tab, i) => {
      const mine = TABS[i] === this.tab;
      tab.setAttribute('aria-selected', String(mine));
      tab.tabIndex = mine ? 0 : -1;
    });
    this.panel.setAttribute('aria-labelledby', `tab-${this.tab}`);
  }

  choose(name) {
    this.tab = name;
    this.context.setQuery(name === 'effective' ? '' : `?tab=${name}`);
    this.#mark();
    this.show();
  }

  async load() {
    try {
      this.answer = await get('/api/v1/configuration');
    } catch (problem) {
      fill(
        this.panel,
        problemBox(problem, () => this.load()),
      );
      return;
    }
    this.edit = this.answer.text === null ? null : new EditTab(this.answer, () => this.load());
    this.show();
  }

  show() {
    if (!this.answer) return;
    const content = {
      effective: () => effective(this.answer),
      edit: () => this.edit?.element || unreadable(this.answer),
      versions: () =>
        new VersionsTab(this.answer, (text) => (this.choose('edit'), this.edit.put(text))).element,
      changes,
    };
    fill(this.panel, content[this.tab]());
  }

  isDirty() {
    return Boolean(this.edit && this.answer.writable && this.edit.isDirty());
  }
}

export function show(place, context) {
  const page = new Configuration(place, context);
  return {
    isDirty: () => page.isDirty(),
    mayLeave: () => !page.isDirty() || confirm(say('unsaved')),
  };
}
