// Windows over the page, and what is said in passing.  The elements are the browser's own dialogs:
// they keep the focus inside, close by Escape, and give the focus back.

import {fill, h, uniqueId} from './dom.js';
import {icon} from './icons.js';
import {say} from './words.js';

// Opens a window; `build(close)` returns its content.  Resolves with what close() was given, or
// null when it was closed by Escape or its cross.
export function openDialog({title, className = '', build}) {
  return new Promise((resolve) => {
    const id = uniqueId('dialog');
    let result = null;
    const close = (value = null) => {
      result = value;
      dialog.close();
    };
    const dialog = h(
      `dialog${className ? `.${className}` : ''}`,
      {'aria-labelledby': id, close: () => (dialog.remove(), resolve(result))},
      h(
        'header.dialog-head',
        h('h2', {id, tabindex: '-1'}, title),
        h(
          'button.quiet.square',
          {type: 'button', 'aria-label': say('close'), click: () => close()},
          icon('close'),
        ),
      ),
    );
    dialog.append(...[build(close, dialog)].flat());
    document.body.append(dialog);
    dialog.showModal();
    const first = dialog.querySelector('[autofocus]') || dialog.querySelector('h2');
    first.focus();
  });
}

// Asks before something is done.  `fields`: elements of the form; `act(form)` does it and may throw
// a Problem, which is shown there; what it returns is the result, also where the window was closed
// meanwhile.
export async function askFirst({title, text, fields = [], action, danger = false, act}) {
  let doing = null;
  const result = await openDialog({
    title,
    className: 'ask',
    build: (close) => {
      const trouble = h('p.trouble', {role: 'alert', hidden: true});
      const button = h(`button${danger ? '.danger' : '.primary'}`, {type: 'submit'}, action);
      const send = async (event) => {
        event.preventDefault();
        button.disabled = true;
        trouble.hidden = true;
        try {
          doing = act(event.target);
          close((await doing) ?? true);
        } catch (problem) {
          if (!trouble.isConnected) return;
          doing = null;
          fill(trouble, problem.words || problem.message).hidden = false;
          button.disabled = false;
        }
      };
      return h(
        'form',
        {submit: send},
        h('div.dialog-body', text && h('p', text), fields, trouble),
        h('footer.dialog-foot', h('button', {type: 'button', click: () => close()}, say('cancel')), button),
      );
    },
  });
  if (result !== null || !doing) return result;
  try {
    return (await doing) ?? true;
  } catch (problem) {
    notice(problem.words || problem.message, 'bad');
    return null;
  }
}

// The place in the page where notices appear; it is read out once it changes.
export function noticePlace() {
  return h('div.notices', {id: 'notices', role: 'status', 'aria-live': 'polite'});
}

const NOTICE_MS = 6000;

export function notice(text, kind = 'good') {
  const place = document.getElementById('notices');
  if (!place) return; // the session is over: the entrance says so
  const one = h(`p.notice.${kind}`, icon(kind === 'good' ? 'check' : 'warn'), h('span', text));
  place.append(one);
  setTimeout(() => one.remove(), NOTICE_MS);
}

// Says something to a screen reader alone.
export function announce(text) {
  const place = document.getElementById('said');
  if (place) place.textContent = text;
}

// A box for a Problem, with a way to try again.
export function problemBox(problem, again) {
  return h(
    'div.trouble',
    {role: 'alert'},
    h('p', problem.words || problem.message),
    again && h('button', {type: 'button', click: again}, say('again')),
  );
}
