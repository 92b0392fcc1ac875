// A table that is updated in place: rows are known by a key, a cell is made anew only when what it
// shows changed, and the row that has the focus is never taken out to be put elsewhere.
//
// On a narrow screen each row is a card (style.css); the roles say again what CSS takes away.

import {fill, h} from './dom.js';
import {say} from './words.js';

const ARROWS = {asc: '▲', desc: '▼', none: ''};

// columns: [{name, label, sort, second: {label, sort}, className, text(row), cell(row)}]
//   text: what the cell says, as text, to see whether it changed; cell: its content, text when left
//   out; sort: the name of an order, whose button is in the head; second: another below it.
// key(row), caption, order: {sort, order}, onSort(sort, order), rowClass(row).
export class Table {
  constructor(options) {
    Object.assign(this, options);
    this.rows = new Map(); // key -> {element, cells: [{element, text}]}
    this.heads = [];
    this.body = h('tbody', {role: 'rowgroup'});
    this.table = h(
      `table${this.className ? `.${this.className}` : ''}`,
      {role: 'table'},
      h('caption.only-read', this.caption),
      h(
        'thead',
        {role: 'rowgroup'},
        h(
          'tr',
          {role: 'row'},
          this.columns.map((c) => this.#head(c)),
        ),
      ),
      this.body,
    );
    this.element = h(
      'div.table-place',
      {tabindex: '0', role: 'region', 'aria-label': this.caption},
      this.table,
    );
    this.#showOrder();
  }

  #head(column) {
    const label = (one, main) => {
      if (!one.sort) return h(main ? 'span' : 'span.second', one.label);
      const arrow = h('span.arrow', {'aria-hidden': 'true'});
      const button = h(
        `button.sort${main ? '' : '.second'}`,
        {type: 'button', click: () => this.#sortBy(one.sort)},
        one.label,
        arrow,
      );
      this.heads.push({sort: one.sort, button, arrow});
      return button;
    };
    const th = h(
      `th${column.className ? `.${column.className}` : ''}`,
      {role: 'columnheader', scope: 'col'},
      column.hideLabel ? h('span.only-read', column.label) : label(column, true),
      column.second && label(column.second, false),
    );
    if (column.sort) column.head = th;
    return th;
  }

  #sortBy(sort) {
    const same = this.order.sort === sort;
    this.setOrder(sort, same && this.order.order === 'asc' ? 'desc' : 'asc');
    this.onSort(this.order.sort, this.order.order);
  }

  setOrder(sort, order) {
    this.order = {sort, order};
    this.#showOrder();
  }

  #showOrder() {
    if (!this.order) return;
    const {sort, order} = this.order;
    for (const head of this.heads) {
      const mine = head.sort === sort;
      head.arrow.textContent = ARROWS[mine ? order : 'none'];
      head.button.classList.toggle('sorted', mine);
    }
    for (const column of this.columns) {
      if (!column.head) continue;
      const mine = [column.sort, column.second?.sort].includes(sort);
      if (mine) column.head.setAttribute('aria-sort', order === 'asc' ? 'ascending' : 'descending');
      else column.head.removeAttribute('aria-sort');
    }
  }

  #make(row) {
    const cells = this.columns.map((column) => ({
      element: h(column.rowHead ? 'th' : 'td', {
        role: column.rowHead ? 'rowheader' : 'cell',
        scope: column.rowHead ? 'row' : null,
        class: column.className || null,
        'data-label': column.cardLabel ?? column.label,
      }),
      text: null,
    }));
    return {
      element: h(
        'tr',
        {role: 'row'},
        cells.map((c) => c.element),
      ),
      cells,
    };
  }

  #show(known, row) {
    this.columns.forEach((column, i) => {
      const cell = known.cells[i];
      const text = String(column.text(row));
      if (text === cell.text) return;
      cell.text = text;
      fill(cell.element, column.cell ? column.cell(row) : text);
    });
    if (this.rowClass) known.element.className = this.rowClass(row);
  }

  // Puts the rows in their order without moving the one that has the focus.
  #place(elements) {
    for (let i = 0; i < elements.length; i++) {
      if (elements[i].contains(document.activeElement)) continue; // the others go round it
      const before = i === 0 ? this.body.firstChild : elements[i - 1].nextSibling;
      if (before !== elements[i]) this.body.insertBefore(elements[i], before);
    }
  }

  // Shows these rows and no others.
  update(rows) {
    const next = new Map();
    for (const row of rows) {
      const key = this.key(row);
      const known = this.rows.get(key) || this.#make(row);
      this.#show(known, row);
      next.set(key, known);
    }
    const gone = [...this.rows].filter(([key]) => !next.has(key)).map(([, known]) => known.element);
    const loser = gone.find((e) => e.contains(document.activeElement));
    const position = loser ? [...this.body.children].indexOf(loser) : -1;
    gone.forEach((e) => e.remove());
    this.rows = next;
    this.#place([...next.values()].map((known) => known.element));
    if (loser) this.#giveFocus(position);
  }

  // The focus was in a row that is gone: the one that took its place gets it, or, where there is
  // none any more and the table goes, too, the page's heading.
  #giveFocus(position) {
    const row = this.body.children[Math.min(position, this.body.children.length - 1)];
    const button = row && row.querySelector('button, a[href]');
    (button || document.querySelector('main h1') || this.element).focus();
  }

  get size() {
    return this.rows.size;
  }
}

// Two lines in a cell: the second is less important.
export function twoLines(first, second, labels = {}) {
  return [
    h('span.first', {'data-label': labels.first || null}, first),
    h('span.second', {'data-label': labels.second || null}, second),
  ];
}

// What stands where a table would have nothing to show.
export function emptyPlace(title, text, ...more) {
  return h('div.empty', h('p.empty-title', title), text && h('p', text), more);
}

export function loadingPlace() {
  return h('div.loading', {role: 'status'}, h('span.only-read', say('loading')));
}
