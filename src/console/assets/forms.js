// The parts of a form: fields whose faults are said beside them.

import {fill, foreign, h, uniqueId} from './dom.js';
import {languageOf} from './words.js';

// A field: `input` with its label, a hint, and a place for what is wrong.
export class Field {
  constructor({name, label, input, hint, className = ''}) {
    const id = uniqueId(name);
    this.name = name;
    this.input = input;
    this.fault = h('p.fault', {id: `${id}-fault`, 'aria-live': 'polite'});
    const described = [hint && `${id}-hint`, `${id}-fault`].filter(Boolean).join(' ');
    input.id = id;
    input.name = name;
    input.setAttribute('aria-describedby', described);
    const isTick = input.type === 'checkbox';
    const labelled = h('label', {for: id}, label);
    this.element = h(
      `div.field${isTick ? '.ticked' : ''}${className ? `.${className}` : ''}`,
      isTick ? [input, labelled] : [labelled, input],
      hint && h('p.hint', {id: `${id}-hint`}, hint),
      this.fault,
    );
  }

  // `messages`: texts of the proxy; none: the field is fine.
  show(messages) {
    const text = messages.join('\n');
    this.input.setAttribute('aria-invalid', String(messages.length > 0));
    this.element.classList.toggle('faulty', messages.length > 0);
    if (this.shown === text) return;
    this.shown = text;
    fill(
      this.fault,
      messages.map((one) => h('span.line', {lang: languageOf(one)}, foreign(one))),
    );
  }
}

export function text(attributes) {
  return h('input', {
    type: 'text',
    spellcheck: 'false',
    autocapitalize: 'none',
    autocomplete: 'off',
    ...attributes,
  });
}

export function tickBox(checked) {
  return h('input', {type: 'checkbox', checked});
}

// Says that a page can only be read, and why.
export function readOnlyNote(title, why, file) {
  return h(
    'div.note',
    {role: 'note'},
    h('p', h('strong', title)),
    why && h('p', {lang: languageOf(why)}, foreign(why)),
    file && h('p.faint', h('code', foreign(file))),
  );
}
