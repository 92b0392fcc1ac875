// Talking with /api/v1: JSON, the token of changes, events.

import {has, say} from './words.js';

let csrf = null;
let lost = () => {};

export const session = {name: null, has_admins: true, version: ''};

// `f` is called when an answer says that nobody is logged in any more.
export function onSessionLost(f) {
  lost = f;
}

// An answer that is none of success, or no answer.  code: the API's, or "network"; field: what it
// is about; body: all of it.
export class Problem extends Error {
  constructor(status, body, wait) {
    super(body.message || `status ${status}`);
    this.status = status;
    this.code = body.error || 'status';
    this.field = body.field || null;
    this.body = body;
    this.wait = wait;
  }

  // In the reader's language where there are words for its code, else what the proxy says.
  get words() {
    const key = `error.${this.code}`;
    if (has(key)) return say(key, {message: this.message, n: this.wait || 1});
    return this.message;
  }
}

async function read(response) {
  const text = await response.text();
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return {error: 'status', message: text.slice(0, 500) || response.statusText};
  }
}

// Asks; the answer's JSON, or a Problem is thrown.  `body` is JSON to be, a Blob goes as it is.
export async function ask(method, path, body, signal) {
  const fields = {};
  const raw = body instanceof Blob;
  if (method !== 'GET' && csrf) fields['X-CSRF-Token'] = csrf;
  if (body !== undefined) fields['Content-Type'] = raw ? 'application/octet-stream' : 'application/json';
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: fields,
      body: body === undefined || raw ? body : JSON.stringify(body),
      credentials: 'same-origin',
      signal,
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, {error: 'network', message: error.message});
  }
  const answer = await read(response);
  if (response.ok) return answer;
  const problem = new Problem(response.status, answer, Number(response.headers.get('Retry-After')));
  if (response.status === 401 && session.name) lost();
  throw problem;
}

export function get(path, signal) {
  return ask('GET', path, undefined, signal);
}

// {a: 1, b: ''} as "?a=1": what is empty is left out.
export function query(values) {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== '' && value !== null && value !== undefined && value !== false) all.set(name, value);
  }
  const text = all.toString();
  return text ? `?${text}` : '';
}

function take(answer) {
  csrf = answer.csrf;
  Object.assign(session, answer);
  return session;
}

export async function getSession() {
  return take(await get('/api/v1/session'));
}

export async function logIn(name, password) {
  return take(await ask('POST', '/api/v1/session', {name, password}));
}

export async function setUp(token, name, password) {
  return take(await ask('POST', '/api/v1/setup', {token, name, password}));
}

export async function logOut() {
  await ask('DELETE', '/api/v1/session');
  csrf = null;
  session.name = null;
}

// Reads a job's events until it ends: `on` has a function for each name of event.  Resolves with
// what `end` says; {status: null} when the stream broke first.  Aborting `signal` ends the job.
export function readJob(job, on, signal) {
  const path = `/api/v1/jobs/${encodeURIComponent(job)}`;
  return new Promise((resolve) => {
    const source = new EventSource(`${path}/events`);
    const finish = (result) => {
      source.close();
      resolve(result);
    };
    for (const [name, f] of Object.entries(on)) {
      source.addEventListener(name, (event) => f(JSON.parse(event.data)));
    }
    source.addEventListener('end', (event) => finish(JSON.parse(event.data)));
    source.addEventListener('error', () => finish({status: null, message: say('job.broken')}));
    if (!signal) return;
    signal.addEventListener('abort', () => {
      ask('DELETE', path).catch(() => null); // it may be over
      finish({status: null, message: '', cancelled: true});
    });
  });
}
