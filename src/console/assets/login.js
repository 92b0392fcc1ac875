// The entrance: logging in; making the first administrator by a one-time link.

import {logIn, session, setUp} from './api.js';
import {fill, h, uniqueId} from './dom.js';
import {logo} from './icons.js';
import {say} from './words.js';

const PASSWORD_LEAST = 10;

// An input with its label and the place for what is wrong with it.
function field(label, hint, attributes) {
  const id = uniqueId('field');
  const input = h('input', {
    id,
    required: true,
    'aria-describedby': hint ? `${id}-hint` : null,
    ...attributes,
  });
  return {
    input,
    element: h(
      'div.field',
      h('label', {for: id}, label),
      input,
      hint && h('p.hint', {id: `${id}-hint`}, hint),
    ),
  };
}

function card(options, title, intro, ...rest) {
  return fill(
    options.place,
    h(
      'main.entrance-card',
      h('p.brand', {translate: 'no'}, logo(), 'viaduct'),
      h('h1', title),
      intro && h('p.faint', intro),
      rest,
    ),
    h(
      'footer.entrance-foot',
      options.switches,
      session.version && h('p.faint', `viaduct ${session.version}`),
    ),
  );
}

function form(options, fields, label, send) {
  const trouble = h('p.trouble', {role: 'alert', hidden: true});
  const button = h('button.primary.wide', {type: 'submit'}, label);
  const complain = (text) => {
    fill(trouble, text).hidden = false;
    button.disabled = false;
  };
  const submit = async (event) => {
    event.preventDefault();
    trouble.hidden = true;
    button.disabled = true;
    try {
      await send(complain);
    } catch (problem) {
      complain(problem.words || problem.message);
    }
  };
  return h(
    'form',
    {submit},
    fields.map((f) => f.element),
    trouble,
    button,
  );
}

function logInForm(options) {
  const name = field(say('login.name'), null, {
    name: 'username',
    autocomplete: 'username',
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  const password = field(say('login.password'), null, {
    name: 'password',
    type: 'password',
    autocomplete: 'current-password',
  });
  const send = async () => {
    try {
      await logIn(name.input.value, password.input.value);
    } catch (problem) {
      password.input.select();
      throw problem;
    }
    options.done();
  };
  const intro = options.reason ? say(`login.${options.reason}`) : say('login.intro');
  card(options, say('login.title'), intro, form(options, [name, password], say('login.do'), send));
  name.input.focus();
}

function setUpForm(options) {
  const name = field(say('login.name'), null, {
    name: 'username',
    autocomplete: 'username',
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  const password = field(say('login.password'), say('setup.password_hint'), {
    type: 'password',
    autocomplete: 'new-password',
    minlength: PASSWORD_LEAST,
  });
  const repeat = field(say('setup.repeat'), null, {type: 'password', autocomplete: 'new-password'});
  const send = async (complain) => {
    if (password.input.value !== repeat.input.value) {
      complain(say('setup.differ'));
      repeat.input.select();
      return;
    }
    await setUp(options.token, name.input.value, password.input.value);
    options.done();
  };
  card(
    options,
    say('setup.title'),
    say('setup.intro'),
    form(options, [name, password, repeat], say('setup.do'), send),
  );
  name.input.focus();
}

function noAdministrator(options) {
  card(
    options,
    say('setup.none_title'),
    say('setup.none'),
    h('pre.command', {tabindex: '0'}, 'viaduct account admin-link'),
    session.trouble && h('p.trouble', session.trouble),
  );
}

// options: token of a one-time link or null; reason: why one is here again; done().
export function showEntrance(place, options) {
  const all = {...options, place};
  document.title = 'viaduct';
  if (options.token) setUpForm(all);
  else if (session.has_admins) logInForm(all);
  else noAdministrator(all);
}
