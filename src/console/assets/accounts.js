// Accounts: who may log in at the proxy; and links for more administrators of this console.

import {ask, get} from './api.js';
import {announce, askFirst, notice, openDialog, problemBox} from './dialogs.js';
import {fill, foreign, h, plain} from './dom.js';
import {Field, readOnlyNote, text} from './forms.js';
import {emptyPlace, loadingPlace, Table} from './table.js';
import {say} from './words.js';

function password() {
  return h('input', {type: 'password', required: true, autocomplete: 'new-password'});
}

// Two fields that must agree, and what to send of them.
function passwordFields() {
  const first = new Field({name: 'password', label: say('accounts.password'), input: password()});
  const second = new Field({name: 'again', label: say('accounts.again'), input: password()});
  const read = () => {
    if (first.input.value === second.input.value) return first.input.value;
    second.input.select();
    throw new Error(say('setup.differ'));
  };
  return {elements: [first.element, second.element], read, first};
}

class Accounts {
  constructor(place, context) {
    this.context = context;
    this.stop = new AbortController();
    this.body = h('div', loadingPlace());
    fill(
      place,
      h('section', h('h2', say('accounts.title')), h('p.faint.intro', say('accounts.intro')), this.body),
      administrators(),
    );
    this.load();
  }

  #columns(writable) {
    const column = (name, more) => ({name, label: say(`column.${name}`), ...more});
    const columns = [
      column('name', {className: 'wide', rowHead: true, text: (a) => a.name, cell: (a) => foreign(a.name)}),
      column('state', {
        text: (a) => a.disabled,
        cell: (a) =>
          h(
            `span.chip.${a.disabled ? 'calm' : 'good'}`,
            say(a.disabled ? 'accounts.disabled' : 'accounts.enabled'),
          ),
      }),
      column('realm', {text: (a) => a.realm || '', cell: (a) => (a.realm ? foreign(a.realm) : '–')}),
      column('algorithms', {
        text: (a) => a.algorithms.join(', '),
        cell: (a) => h('span.faint', a.algorithms.join(', ') || '–'),
      }),
    ];
    const action = (a, name, act) =>
      h(
        'button.small',
        {
          type: 'button',
          'aria-label': say(`accounts.${name}_of`, {name: plain(a.name)}),
          click: () => act.call(this, a),
        },
        say(`accounts.${name}`),
      );
    if (writable) {
      columns.push(
        column('actions', {
          hideLabel: true,
          cardLabel: '',
          className: 'action',
          text: (a) => a.disabled,
          cell: (a) => [
            action(a, a.disabled ? 'enable' : 'disable', this.toggle),
            action(a, 'reset', this.reset),
            action(a, 'remove', this.remove),
          ],
        }),
      );
    }
    return columns;
  }

  async load() {
    try {
      this.#show(await get('/api/v1/accounts', this.stop.signal));
    } catch (problem) {
      if (problem.name === 'AbortError') return;
      this.table = null;
      this.context.tools.replaceChildren();
      if (problem.code === 'no-authentication')
        fill(
          this.body,
          emptyPlace(
            say('accounts.off'),
            say('accounts.off_hint'),
            h('p', h('a.button', {href: '/configuration?tab=edit'}, say('accounts.to_configuration'))),
          ),
        );
      else
        fill(
          this.body,
          problemBox(problem, () => this.load()),
        );
    }
  }

  #show(answer) {
    const {accounts, writable} = answer;
    if (!this.table || this.writable !== writable) {
      this.writable = writable;
      this.table = new Table({
        caption: say('accounts.title'),
        className: 'accounts',
        columns: this.#columns(writable),
        key: (a) => a.name,
      });
      this.empty = h('div');
      this.count = h('p.count', {role: 'status'});
      fill(
        this.body,
        writable ? null : readOnlyNote(say('accounts.read_only'), answer.why_not, answer.file),
        this.table.element,
        this.empty,
        this.count,
      );
      fill(
        this.context.tools,
        writable && h('button.primary', {type: 'button', click: () => this.add()}, say('accounts.add')),
      );
    }
    this.table.update(accounts);
    this.table.element.hidden = accounts.length === 0;
    fill(this.empty, accounts.length ? null : emptyPlace(say('accounts.none'), say('accounts.none_hint')));
    fill(this.count, accounts.length ? say('accounts.count', {n: accounts.length}) : '');
  }

  async #after(done, words) {
    if (!done) return;
    notice(words);
    await this.load();
  }

  async add() {
    const name = new Field({
      name: 'name',
      label: say('accounts.name'),
      input: text({required: true, autofocus: true}),
    });
    const secret = passwordFields();
    const done = await askFirst({
      title: say('accounts.add_title'),
      fields: [name.element, secret.elements],
      action: say('accounts.add'),
      act: () => ask('POST', '/api/v1/accounts', {name: name.input.value, password: secret.read()}),
    });
    await this.#after(done, say('accounts.added'));
  }

  async reset(account) {
    const secret = passwordFields();
    secret.first.input.setAttribute('autofocus', '');
    const done = await askFirst({
      title: say('accounts.reset_title'),
      text: foreign(account.name),
      fields: secret.elements,
      action: say('accounts.reset'),
      act: () => ask('PUT', this.#path(account), {password: secret.read()}),
    });
    await this.#after(done, say('accounts.was_reset'));
  }

  async toggle(account) {
    try {
      await ask('PUT', this.#path(account), {disabled: !account.disabled});
      await this.#after(true, say(account.disabled ? 'accounts.was_enabled' : 'accounts.was_disabled'));
    } catch (problem) {
      notice(problem.words, 'bad');
    }
  }

  async remove(account) {
    const done = await askFirst({
      title: say('accounts.remove_title'),
      text: [foreign(account.name), h('br'), h('span.faint', say('accounts.remove_hint'))],
      action: say('accounts.remove'),
      danger: true,
      act: () => ask('DELETE', this.#path(account)),
    });
    await this.#after(done, say('accounts.removed'));
  }

  #path(account) {
    return `/api/v1/accounts/${encodeURIComponent(account.name)}`;
  }
}

/* ---- administrators of the console */

function administrators() {
  const make = async () => {
    try {
      await showLink(await ask('POST', '/api/v1/admin-link'));
    } catch (problem) {
      notice(problem.words, 'bad');
    }
  };
  return h(
    'section.apart',
    h('h2', say('admins.title')),
    h('p.faint.intro', say('admins.intro')),
    h('button', {type: 'button', click: make}, say('admins.link')),
  );
}

function showLink({url, seconds}) {
  return openDialog({
    title: say('admins.link_title'),
    build: (close) => {
      const field = h('input', {
        value: url,
        readonly: true,
        'aria-label': say('admins.link_title'),
        autofocus: true,
      });
      field.addEventListener('focus', () => field.select());
      const copy = async () => {
        await navigator.clipboard.writeText(url);
        announce(say('copied'));
        notice(say('copied'));
      };
      return [
        h('div.dialog-body', h('p', say('admins.link_hint', {n: Math.round(seconds / 60)})), field),
        h(
          'footer.dialog-foot',
          navigator.clipboard && h('button', {type: 'button', click: copy}, say('copy')),
          h('button.primary', {type: 'button', click: () => close()}, say('close')),
        ),
      ];
    },
  });
}

export function show(place, context) {
  const page = new Accounts(place, context);
  return {leave: () => page.stop.abort()};
}
