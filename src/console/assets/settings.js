// Proxy settings: the form of `viaduct upstream`, judged as it is typed, tested before it is saved.

import {ask, get, readJob} from './api.js';
import {announce, notice, problemBox} from './dialogs.js';
import {fill, foreign, foreignLines, h, later} from './dom.js';
import {flowView} from './flow.js';
import {Field, readOnlyNote, text, tickBox} from './forms.js';
import {loadingPlace} from './table.js';
import {languageOf, say} from './words.js';

const PAUSE_MS = 250;
const TEST_URL = 'https://www.example.com/'; // the proxy's own choice

function portOf(value) {
  return /^\d{1,9}$/.test(value) ? Number(value) : value;
}

function words(value) {
  return value.split(/[\s,;]+/).filter(Boolean);
}

class Settings {
  constructor(place, settings) {
    this.place = place;
    this.settings = settings;
    this.saved = null; // what was sent and is in force, as it was typed
    this.touched = new Set();
    this.stop = new AbortController();
    this.judge = later(PAUSE_MS, () => this.validate());
    this.#build();
    this.#show();
  }

  #build() {
    const s = this.settings;
    const field = (name, input, more) =>
      new Field({name, label: say(`settings.${name}`), input, hint: say(`settings.${name}_hint`), ...more});
    this.fields = {
      enabled: field('enabled', tickBox(s.enabled)),
      host: field('host', text({value: s.host, inputmode: 'url'}), {className: 'grow'}),
      port: field('port', text({value: s.port ? String(s.port) : '', inputmode: 'numeric', maxlength: '9'}), {
        className: 'short',
      }),
      tls: field('tls', tickBox(s.tls)),
      authentication: field('authentication', tickBox(s.authentication)),
      user: field('user', text({value: s.user || ''})),
      password: field(
        'password',
        h('input', {
          type: 'password',
          autocomplete: 'new-password',
          placeholder: s.has_password ? say('settings.kept') : '',
        }),
      ),
      no_proxy: field(
        'no_proxy',
        h('textarea', {rows: '3', spellcheck: 'false', autocapitalize: 'none', value: s.no_proxy.join('\n')}),
      ),
      smart_licensing: field('smart_licensing', tickBox(s.smart_licensing)),
    };
    this.url = field('url', text({inputmode: 'url', placeholder: TEST_URL}));
    this.login = h('div.pair.indent', this.fields.user.element, this.fields.password.element);
    this.button = h('button.primary', {type: 'submit'}, say('settings.save'));
    this.outcome = h('div.outcome', {'aria-live': 'off'});
    this.form = h(
      'form.card.settings-form',
      {
        submit: (event) => (event.preventDefault(), this.save(false)),
        input: (event) => this.#typed(event.target),
        focusout: (event) => this.#left(event.target),
      },
      h(
        'fieldset',
        {disabled: !s.writable},
        h('legend.only-read', say('page.settings')),
        this.fields.enabled.element,
        h('div.pair', this.fields.host.element, this.fields.port.element),
        this.fields.tls.element,
        this.fields.authentication.element,
        this.login,
        this.fields.no_proxy.element,
        this.fields.smart_licensing.element,
        this.url.element,
        h('div.actions', this.button, h('p.hint', say('settings.save_hint'))),
      ),
    );
    fill(
      this.place,
      s.writable ? null : readOnlyNote(say('settings.read_only'), s.why_not, s.file),
      h('div.columns.settings-columns', this.form, h('div', this.outcome)),
      s.writable && s.file && h('p.faint.file', say('settings.file'), ' ', h('code', foreign(s.file))),
    );
  }

  #show() {
    this.login.hidden = !this.fields.authentication.input.checked;
  }

  // What a field says is told once it was typed in; others wait until one comes to them.
  #typed(input) {
    this.touched.add(input.name);
    if (input.name === 'smart_licensing') this.touched.add('host');
    this.#show();
    this.judge();
  }

  #left(input) {
    if (!input.value || !this.fields[input.name]) return;
    this.touched.add(input.name);
    this.judge.now();
  }

  values() {
    const f = this.fields;
    const body = {
      enabled: f.enabled.input.checked,
      host: f.host.input.value.trim(),
      port: portOf(f.port.input.value.trim()),
      tls: f.tls.input.checked,
      authentication: f.authentication.input.checked,
      user: f.user.input.value,
      no_proxy: words(f.no_proxy.input.value),
      smart_licensing: f.smart_licensing.input.checked,
    };
    if (f.password.input.value) body.password = f.password.input.value;
    return body;
  }

  // True when nothing is wrong.
  async validate(all = false) {
    const asked = (this.asked = (this.asked || 0) + 1);
    let problems;
    try {
      ({problems} = await ask('POST', '/api/v1/upstream/validate', this.values(), this.stop.signal));
    } catch (problem) {
      return all ? Promise.reject(problem) : false; // Save says it
    }
    if (asked !== this.asked) return false; // a later answer is under way
    const faults = problems.filter((one) => !one.warning);
    for (const [name, field] of Object.entries(this.fields)) {
      const mine = problems.filter((one) => one.field === name).map((one) => one.message);
      if (all) this.touched.add(name);
      field.show(this.touched.has(name) ? mine : []);
    }
    return faults.length === 0;
  }

  async save(force) {
    this.judge.stop();
    this.button.disabled = true;
    try {
      if (await this.validate(true))
        await this.#send({...this.values(), url: this.url.input.value.trim(), force});
      else this.#toFault();
    } catch (problem) {
      if (problem.name !== 'AbortError') fill(this.outcome, problemBox(problem));
    }
    this.button.disabled = false;
  }

  #toFault() {
    const first = Object.values(this.fields).find((field) => field.element.classList.contains('faulty'));
    if (first) first.input.focus();
  }

  async #send(values) {
    const tested = values.enabled && !values.force;
    const state = h(
      'p.run-state',
      {role: 'status'},
      h('span.spinner'),
      say(tested ? 'settings.testing' : 'settings.saving'),
    );
    const drawn = h('div');
    fill(this.outcome, h('section.card', state, drawn));
    const answer = await ask('PUT', '/api/v1/upstream', values, this.stop.signal);
    const result = answer.job ? await this.#follow(answer.job, drawn) : answer;
    if (this.stop.signal.aborted) return;
    if (result.saved) this.#saved(values, drawn);
    else this.#refused(result, drawn);
  }

  async #follow(job, drawn) {
    const result = {saved: false, flow: null, trouble: ''};
    const draw = (flow) => {
      result.flow = flow;
      fill(drawn, flowView(flow));
    };
    const end = await readJob(
      job,
      {flow: draw, saved: () => (result.saved = true), trouble: (data) => (result.trouble = data.message)},
      this.stop.signal,
    );
    return {...result, status: end.status, message: result.trouble || end.message || ''};
  }

  async #saved(values, drawn) {
    this.saved = values;
    notice(say('settings.saved'));
    try {
      this.settings = await get('/api/v1/upstream', this.stop.signal);
    } catch {
      return;
    }
    const flow = drawn.firstChild;
    this.fields.password.input.value = '';
    this.fields.password.input.placeholder = this.settings.has_password ? say('settings.kept') : '';
    fill(
      this.outcome,
      h('section.card.good', h('p.run-state', {role: 'status'}, say('settings.saved')), flow),
    );
  }

  // The old settings stand; they are replaced only by who says so again.
  #refused(result, drawn) {
    const message = result.message.trim();
    const back = () => {
      fill(this.outcome);
      this.fields.host.input.focus();
    };
    const title = h('h2', {tabindex: '-1'}, say(result.flow ? 'settings.failed' : 'settings.not_saved'));
    const kept = h('p', say(result.trouble ? 'settings.not_in_force' : 'settings.old_stand'));
    fill(
      this.outcome,
      h(
        'section.card.bad',
        title,
        kept,
        message && !result.flow && h('pre.words', {lang: languageOf(message)}, foreignLines(message)),
        result.flow &&
          h(
            'div.actions',
            h('button', {type: 'button', click: back}, say('settings.keep')),
            h('button.danger', {type: 'button', click: () => this.save(true)}, say('settings.anyway')),
          ),
        drawn,
      ),
    );
    title.focus({preventScroll: false});
    announce(title.textContent);
  }

  // The proxy may write what was sent otherwise than it was typed.
  isDirty() {
    if (!this.settings.writable) return false;
    const s = this.saved || this.settings;
    const now = this.values();
    return (
      now.password !== undefined ||
      ['enabled', 'tls', 'authentication', 'smart_licensing'].some((name) => now[name] !== s[name]) ||
      now.host !== s.host ||
      now.port !== (s.port || '') ||
      now.user !== (s.user || '') ||
      now.no_proxy.join(' ') !== s.no_proxy.join(' ')
    );
  }
}

export function show(place) {
  let page = null;
  const stop = new AbortController();
  const load = async () => {
    fill(place, loadingPlace());
    try {
      page = new Settings(place, await get('/api/v1/upstream', stop.signal));
    } catch (problem) {
      if (problem.name !== 'AbortError') fill(place, problemBox(problem, load));
    }
  };
  load();
  return {
    isDirty: () => page !== null && page.isDirty(),
    mayLeave: () => page === null || !page.isDirty() || confirm(say('unsaved')),
    leave: () => {
      stop.abort();
      if (page) page.stop.abort();
    },
  };
}
