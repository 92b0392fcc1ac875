// Diagnose: a check of a URL whose ladder is drawn as it happens, and the explanation of a capture.

import {ask, readJob} from './api.js';
import {announce} from './dialogs.js';
import {fill, foreign, foreignLines, h} from './dom.js';
import {flowView, kindOf, targetOf, verdictChip} from './flow.js';
import * as format from './format.js';
import {icon} from './icons.js';
import {emptyPlace} from './table.js';
import {say} from './words.js';

const UPLOAD_MAX = 64 * 1024 * 1024;
const DRAW_MS = 250;
const SHOWN_MAX = 500;
const OPENED_FLOWS = 3; // of a capture, the worst ones

/* ---- a job and what came of it */

// Shows the flows of a job as they come.  `title`: what is done; `isCheck`: few flows, all open.
class Run {
  constructor(place, {title, isCheck}) {
    this.isCheck = isCheck;
    this.flows = new Map();
    this.lines = [];
    this.stop = new AbortController();
    this.state = h('p.run-state', {role: 'status'}, h('span.spinner'), title);
    this.button = h('button.small', {type: 'button', click: () => this.stop.abort()}, say('stop'));
    this.stop.signal.addEventListener('abort', () => this.#finish({cancelled: true}));
    this.body = h('div.run-flows');
    this.output = h('pre.output', {tabindex: '0', hidden: true, 'aria-label': say('diagnose.output')});
    fill(place, h('section.run', h('div.run-head', this.state, this.button), this.body, this.output));
  }

  async follow(job) {
    const on = {flow: (flow) => this.#take(flow), line: (line) => this.#line(line.text)};
    this.timer = setInterval(() => this.#grow(), DRAW_MS);
    const result = await readJob(job, on, this.stop.signal);
    this.#finish(result);
  }

  #take(flow) {
    let known = this.flows.get(flow.id);
    if (!known) {
      known = {element: h('div'), began: performance.now(), flow};
      this.flows.set(flow.id, known);
      if (this.flows.size <= SHOWN_MAX) this.body.append(known.element);
    }
    known.flow = flow;
    if (this.isCheck) this.#draw(known);
    else this.#drawFolded(known);
  }

  #draw(known) {
    const elapsed = (performance.now() - known.began) * 1000;
    const open = known.element.querySelector('details')?.open;
    fill(known.element, flowView(known.flow, {elapsed}));
    if (open) known.element.querySelector('details').open = true;
  }

  // A capture may have thousands: each is made when it is opened.
  #drawFolded(known) {
    const {flow} = known;
    const summary = h(
      'summary',
      verdictChip(flow.verdict, kindOf(flow)),
      ' ',
      h('span.folded-target', foreign(targetOf(flow) || say('flow.no_request'))),
      h('span.faint', foreign(flow.client || ''), ' · ', format.duration(flow.duration_us)),
    );
    const details = h('details.folded', summary);
    details.addEventListener('toggle', () => {
      if (details.open && details.children.length === 1) details.append(flowView(flow));
    });
    known.details = details;
    fill(known.element, details);
  }

  // The bar of the phase that is under way.
  #grow() {
    if (!this.isCheck) return;
    for (const known of this.flows.values()) if (known.flow.verdict === 'open') this.#draw(known);
  }

  #line(text) {
    this.lines.push(text);
    this.output.hidden = false;
    fill(this.output, foreignLines(this.lines.slice(-SHOWN_MAX).join('\n')));
  }

  #finish(result) {
    clearInterval(this.timer);
    if (!this.button.isConnected) return; // it is over already
    this.button.remove();
    const flows = [...this.flows.values()].map((known) => known.flow);
    const failed = flows.filter((flow) => kindOf(flow) === 'bad');
    const text = result.cancelled ? say('diagnose.stopped') : this.#sum(flows, failed);
    fill(this.state, text);
    announce(text);
    const message = (result.message || '').trim();
    if (message)
      this.body.before(
        h(
          'div.trouble',
          {class: result.status <= 1 ? 'trouble calm' : 'trouble'},
          h('pre.words', foreignLines(message)),
        ),
      );
    if (!this.isCheck) this.#worstFirst();
    if (!this.isCheck && flows.length === 0 && !message)
      fill(this.body, emptyPlace(say('diagnose.no_flows'), say('diagnose.no_flows_hint')));
  }

  #sum(flows, failed) {
    if (this.isCheck && flows.length === 1) return say('diagnose.verdict', {verdict: flows[0].verdict});
    return say('diagnose.sum', {n: flows.length, failed: failed.length});
  }

  #worstFirst() {
    const rank = (known) => ['bad', 'mild', 'open', 'good'].indexOf(kindOf(known.flow));
    const all = [...this.flows.values()].sort((a, b) => rank(a) - rank(b));
    all.slice(0, SHOWN_MAX).forEach((known) => this.body.append(known.element));
    all
      .slice(0, OPENED_FLOWS)
      .forEach((known) => kindOf(known.flow) === 'bad' && (known.details.open = true));
    if (all.length > SHOWN_MAX)
      this.body.append(h('p.faint', say('diagnose.more', {n: all.length - SHOWN_MAX})));
  }
}

/* ---- check */

function field(label, input, hint) {
  const id = `check-${input.name}`;
  input.id = id;
  return h('div.field', h('label', {for: id}, label), input, hint && h('p.hint', hint));
}

function tick(name, label) {
  return h('label.tick', h('input', {type: 'checkbox', name}), h('span', label));
}

class CheckForm {
  constructor(given, start) {
    const url = h('input', {
      name: 'url',
      type: 'text',
      inputmode: 'url',
      required: true,
      placeholder: 'https://example.com/',
      spellcheck: 'false',
      autocapitalize: 'none',
      value: given.get('url') || '',
    });
    this.proxy = h(
      'select',
      {name: 'proxy', change: () => this.#showOther()},
      ['this', 'upstream', 'direct', 'other'].map((name) => h('option', {value: name}, say(`check.${name}`))),
    );
    const other = h('input', {
      name: 'other',
      placeholder: 'http://10.10.10.1:80',
      spellcheck: 'false',
      autocapitalize: 'none',
    });
    this.other = field(say('check.other_url'), other);
    this.trouble = h('p.trouble', {role: 'alert', hidden: true});
    this.button = h('button.primary', {type: 'submit'}, say('check.do'));
    const credentials = h(
      'details.more',
      h('summary', say('check.more')),
      h(
        'div.pair',
        field(
          say('check.user'),
          h('input', {name: 'user', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none'}),
        ),
        field(say('check.password'), h('input', {name: 'password', type: 'password', autocomplete: 'off'})),
      ),
      h(
        'div.ticks',
        tick('follow', say('check.follow')),
        tick('mtu', say('check.mtu')),
        tick('insecure', say('check.insecure')),
      ),
    );
    this.form = h(
      'form',
      {submit: (event) => (event.preventDefault(), start(this.values()))},
      field('URL', url),
      field(say('check.proxy'), this.proxy),
      this.other,
      credentials,
      this.trouble,
      this.button,
    );
    this.element = h(
      'section.card',
      h('h2', say('check.title')),
      h('p.faint', say('check.intro')),
      this.form,
    );
    this.#showOther();
  }

  #showOther() {
    const shown = this.proxy.value === 'other';
    this.other.hidden = !shown;
    this.other.querySelector('input').required = shown;
  }

  values() {
    const {elements} = this.form;
    const body = {
      url: elements.url.value.trim(),
      proxy: this.proxy.value === 'other' ? elements.other.value.trim() : this.proxy.value,
    };
    if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(body.url)) body.url = `https://${body.url}`;
    if (elements.user.value)
      Object.assign(body, {user: elements.user.value, password: elements.password.value});
    for (const name of ['follow', 'mtu', 'insecure']) if (elements[name].checked) body[name] = true;
    return body;
  }

  complain(problem) {
    this.trouble.hidden = !problem;
    if (problem) fill(this.trouble, problem.words || problem.message);
    const bad = problem && this.form.elements[problem.field];
    if (bad) bad.focus();
  }
}

/* ---- explain */

class DropZone {
  constructor(start) {
    // forgotten at once: a browser says nothing of the same file chosen again
    const take = () => {
      const [file] = input.files;
      input.value = '';
      if (file) start(file);
    };
    const input = h('input', {
      type: 'file',
      id: 'capture',
      accept: '.pcap,.pcapng,.cap,.gz,.zst,.txt',
      change: take,
    });
    this.trouble = h('p.trouble', {role: 'alert', hidden: true});
    this.zone = h(
      'div.drop',
      icon('upload'),
      h('label', {for: 'capture'}, say('explain.choose')),
      h('p.faint', say('explain.or_drop')),
      input,
    );
    this.element = h(
      'section.card',
      h('h2', say('explain.title')),
      h('p.faint', say('explain.intro')),
      this.zone,
      this.trouble,
    );
    for (const name of ['dragenter', 'dragover']) {
      this.zone.addEventListener(name, (event) => (event.preventDefault(), this.zone.classList.add('over')));
    }
    for (const name of ['dragleave', 'drop'])
      this.zone.addEventListener(name, () => this.zone.classList.remove('over'));
    this.zone.addEventListener('drop', (event) => {
      event.preventDefault();
      const file = event.dataTransfer.files[0];
      if (file) start(file);
    });
  }

  complain(text) {
    this.trouble.hidden = !text;
    fill(this.trouble, text || '');
  }
}

export function show(place, context) {
  const result = h('div.result', emptyPlace(say('diagnose.empty'), say('diagnose.empty_hint')));
  let run = null;

  function begin(options) {
    if (run) run.stop.abort();
    run = new Run(result, options);
    return run;
  }

  async function check(values) {
    form.complain(null);
    const mine = begin({title: say('check.under_way'), isCheck: true});
    try {
      const {job} = await ask('POST', '/api/v1/check', values, mine.stop.signal);
      await mine.follow(job);
    } catch (problem) {
      if (run !== mine || problem.name === 'AbortError') return;
      fill(result);
      form.complain(problem);
    }
  }

  async function explain(file) {
    zone.complain(null);
    if (file.size > UPLOAD_MAX) {
      zone.complain(say('explain.too_large', {n: format.bytes(UPLOAD_MAX)}));
      return;
    }
    const mine = begin({title: say('explain.under_way'), isCheck: false});
    try {
      const {job} = await ask('POST', '/api/v1/explain', file, mine.stop.signal);
      await mine.follow(job);
    } catch (problem) {
      if (run !== mine || problem.name === 'AbortError') return;
      fill(result);
      zone.complain(problem.words || problem.message);
    }
  }

  const form = new CheckForm(context.query, check);
  const zone = new DropZone(explain);
  fill(place, h('div.columns.diagnose-forms', form.element, zone.element), result);
  if (context.query.get('run') === '1' && context.query.get('url')) {
    context.setQuery(`?${new URLSearchParams({url: context.query.get('url')})}`); // a reload does not run it again
    check(form.values());
  }
  return {leave: () => run && run.stop.abort()};
}
