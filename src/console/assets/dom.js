// Elements, and texts from outside.
//
// Every text goes into the document as a text node: there is no way from here to markup, to an
// event's attribute or to an inline style.

const SVG = 'http://www.w3.org/2000/svg';

// Set as properties: as attributes they say what was at the start.
const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden', 'indeterminate', 'open']);

function add(element, child) {
  if (child === null || child === undefined || child === false) return;
  if (Array.isArray(child)) child.forEach((one) => add(element, one));
  else element.append(child instanceof Node ? child : String(child));
}

function isAttributes(value) {
  return value && typeof value === 'object' && !(value instanceof Node) && !Array.isArray(value);
}

function make(element, classes, rest) {
  if (classes.length) element.setAttribute('class', classes.join(' '));
  if (isAttributes(rest[0])) {
    for (const [name, value] of Object.entries(rest.shift())) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === 'function') element.addEventListener(name, value);
      else if (PROPERTIES.has(name)) element[name] = value;
      else element.setAttribute(name, value === true ? '' : value);
    }
  }
  rest.forEach((child) => add(element, child));
  return element;
}

// h('p.note', {id: 'x', click: f}, 'text', [nodes]): attributes come first, when there are any; a
// function is a listener for the event of its name; null, undefined and false are left out.
export function h(spec, ...rest) {
  const [tag, ...classes] = spec.split('.');
  return make(document.createElement(tag), classes, rest);
}

// The same for SVG.
export function s(spec, ...rest) {
  const [tag, ...classes] = spec.split('.');
  return make(document.createElementNS(SVG, tag), classes, rest);
}

export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

// Characters that show as nothing, or move what stands beside them: controls, marks of direction,
// blanks without width, line and paragraph separators, tags, halves of surrogate pairs.
const ODD =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}]/gu;

function codeOf(character) {
  return 'U+' + character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
}

// A text from outside as plain text that shows everything in it, for attributes and canvases.
export function plain(text) {
  return String(text).replace(ODD, (c) => `\u27e8${codeOf(c)}\u27e9`);
}

// A text from outside as an element: what would be invisible is shown by its number, and its
// direction ends with it.
export function foreign(text, className) {
  const all = String(text ?? '');
  const element = h('bdi', className ? {class: className} : {});
  let from = 0;
  for (const match of all.matchAll(ODD)) {
    if (match.index > from) element.append(all.slice(from, match.index));
    element.append(h('span.odd', codeOf(match[0])));
    from = match.index + match[0].length;
  }
  element.append(all.slice(from));
  return element;
}

// Several lines of it, each line's end kept.
export function foreignLines(text) {
  const lines = String(text ?? '').split('\n');
  return lines.flatMap((line, i) => (i ? ['\n', foreign(line)] : [foreign(line)]));
}

export function later(milliseconds, f) {
  let timer = 0;
  const wait = (...args) => {
    clearTimeout(timer);
    timer = setTimeout(f, milliseconds, ...args);
  };
  wait.now = (...args) => {
    clearTimeout(timer);
    f(...args);
  };
  wait.stop = () => clearTimeout(timer);
  return wait;
}

let last = 0;

// An id that no other element has.
export function uniqueId(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}
