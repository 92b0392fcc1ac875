// What the pages say, in the reader's language.
//
// en.js and ja.js have the same keys; {name} stands for an argument.  A key may have another form
// for one thing, KEY.one.  Sentences that come from the proxy (cause, advice) are looked up in the
// catalogue that the program itself has.

const dictionaries = {
  en: () => import('./en.js'),
  ja: () => import('./ja.js'),
};

let words = {};
let sentences = null; // {forward: Map, back: Map}, once asked for

export let language = 'en';

function fromCookie() {
  const match = /(?:^|; *)language=(en|ja)(?:;|$)/.exec(document.cookie);
  return match && match[1];
}

// Keeps a choice in this browser for a year; null: there is none any more.
export function keepChoice(name, value) {
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  const age = value === null ? 0 : 31536000;
  document.cookie = `${name}=${value ?? ''}; Path=/; Max-Age=${age}; SameSite=Strict${secure}`;
}

function fromBrowser() {
  for (const tag of navigator.languages || [navigator.language]) {
    if (/^ja\b/i.test(tag)) return 'ja';
    if (/^en\b/i.test(tag)) return 'en';
  }
  return 'en';
}

async function learnSentences() {
  const pairs = await (await fetch(new URL('./sentences.json', import.meta.url))).json();
  sentences = {forward: new Map(pairs), back: new Map(pairs.map(([en, ja]) => [ja, en]))};
}

// Learns the language that the cookie or the browser names.
export async function learn() {
  language = fromCookie() || fromBrowser();
  const loading = [dictionaries[language]()];
  if (language === 'ja' && !sentences) loading.push(learnSentences().catch(() => null));
  words = (await loading[0]).default;
  await loading[1];
  document.documentElement.lang = language;
}

export async function choose(name) {
  keepChoice('language', name);
  await learn();
}

function find(key, args) {
  const one = args && args.n === 1 ? words[`${key}.one`] : undefined;
  const text = one ?? words[key];
  if (text === undefined) console.error(`no words for ${key}`);
  return text ?? key;
}

export function has(key) {
  return words[key] !== undefined;
}

// The words of a key, as text.
export function say(key, args) {
  return find(key, args).replace(/\{(\w+)\}/g, (_, name) => args[name]);
}

// The same with nodes for arguments: an array for h().
export function tell(key, args) {
  return find(key, args)
    .split(/(\{\w+\})/)
    .map((part) => (/^\{\w+\}$/.test(part) ? args[part.slice(1, -1)] : part));
}

// A sentence of the proxy's catalogue in the reader's language; other texts as they are.
export function sentence(text) {
  if (!text || !sentences) return text;
  if (language === 'ja') return sentences.forward.get(text) ?? text;
  return sentences.back.get(text) ?? text;
}

// "en" where a text that the proxy said is not in the page's language, for who has it read out.
export function languageOf(text) {
  return language !== 'en' && !/[\u3040-\u30ff\u4e00-\u9fff]/.test(text) ? 'en' : null;
}
