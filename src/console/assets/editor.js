// A text with the numbers of its lines; lines with faults are marked.  Tab leaves it, as everywhere.

import {fill, h} from './dom.js';

export class Editor {
  constructor({value, readOnly, label, onInput}) {
    this.marks = new Map(); // line -> 'bad' or 'mild'
    this.area = h('textarea', {
      value,
      'aria-label': label,
      spellcheck: 'false',
      autocapitalize: 'none',
      autocomplete: 'off',
      wrap: 'off',
      readonly: readOnly,
      input: () => {
        this.#number();
        onInput();
      },
      scroll: () => this.#follow(),
    });
    this.numbers = h('div.numbers');
    this.gutter = h('div.gutter', {'aria-hidden': 'true'}, this.numbers);
    this.element = h('div.editor', this.gutter, this.area);
    this.#number();
  }

  get value() {
    return this.area.value;
  }

  set value(text) {
    this.area.value = text;
    this.#number();
  }

  // problems: [{line, warning}]
  mark(problems) {
    this.marks.clear();
    for (const {line, warning} of problems) {
      if (!warning || !this.marks.has(line)) this.marks.set(line, warning ? 'mild' : 'bad');
    }
    this.lines = 0;
    this.#number();
  }

  #number() {
    const lines = this.area.value.split('\n').length;
    if (lines === this.lines) return;
    this.lines = lines;
    const all = [];
    for (let i = 1; i <= lines; i++) {
      const mark = this.marks.get(i);
      all.push(mark ? h(`span.${mark}`, String(i)) : String(i), '\n');
    }
    fill(this.numbers, all);
    this.numbers.normalize();
    this.#follow();
  }

  #follow() {
    this.numbers.style.transform = `translateY(${-this.area.scrollTop}px)`;
  }

  // Puts the cursor to a place; columns are counted in bytes, as the proxy does.
  goTo(line, column) {
    const lines = this.area.value.split('\n');
    const index = Math.min(line, lines.length) - 1;
    const before = lines.slice(0, index).reduce((n, one) => n + one.length + 1, 0);
    const bytes = new TextEncoder().encode(lines[index]).slice(0, Math.max(0, column - 1));
    const at = before + new TextDecoder().decode(bytes).length;
    this.area.focus();
    this.area.setSelectionRange(at, before + lines[index].length);
    const height = Number.parseFloat(getComputedStyle(this.area).lineHeight);
    this.area.scrollTop = Math.max(0, (index - 4) * height);
    this.#follow();
  }
}
