// One flow, with all that is known of it; and the window that shows it over a page.

import {get} from './api.js';
import {foreign, h, fill, plain, later} from './dom.js';
import {announce, openDialog, problemBox} from './dialogs.js';
import * as format from './format.js';
import {ladder, phaseUnderWay} from './ladder.js';
import {loadingPlace} from './table.js';
import {languageOf, say, sentence} from './words.js';

const SUCCESS = new Set(['ok', 'open']);

export function kindOf(flow) {
  if (flow.verdict === 'open') return 'open';
  if (flow.verdict === 'ok' || flow.superseded_by) return flow.warnings.length ? 'mild' : 'good';
  return 'bad';
}

// A verdict as a word with its colour; the word says it, too.
export function verdictChip(verdict, kind) {
  return h(
    `span.chip.${kind || (SUCCESS.has(verdict) ? 'good' : 'bad')}`,
    {translate: 'no'},
    foreign(verdict),
  );
}

// A sentence that the proxy said.
export function said(text) {
  const words = sentence(text);
  return h('span', {lang: languageOf(words)}, foreign(words));
}

export function targetOf(flow) {
  return flow.url || flow.target || '';
}

// The URL by which `check` goes the same way; null: there is none.
export function urlOf(flow) {
  if (flow.url && /^https?:/i.test(flow.url)) return flow.url;
  if (!flow.target) return null;
  return `https://${flow.target.replace(/:443$/, '')}/`;
}

export function checkLink(flow, label = say('flow.check')) {
  const url = urlOf(flow);
  return url && h('a.button', {href: `/diagnose?${new URLSearchParams({url, run: '1'})}`}, label);
}

function fact(name, value) {
  return value === null || value === undefined || value === '' || value === false
    ? null
    : [h('dt', say(`flow.${name}`)), h('dd', value)];
}

function leg(one) {
  if (!one) return null;
  const parts = [
    `RTT ${format.milliseconds(one.rtt_us)} ms`,
    say('flow.retransmitted', {n: one.retransmissions}),
    one.mss && `MSS ${one.mss}`,
    one.pmtu && `PMTU ${one.pmtu}`,
  ].filter(Boolean);
  if (one.unacked) parts.push(say('flow.unacked', {n: format.bytes(one.unacked)}));
  return parts.join(' · ');
}

// The leg at the client: seen from the proxy, or from outside.
function nearLeg(flow) {
  if (flow.source === 'serve') return 'leg_client';
  return flow.proxy ? 'leg_near' : 'leg_upstream';
}

function tls(one) {
  if (!one) return null;
  const parts = [one.version, one.cipher, one.alpn && `ALPN ${one.alpn}`].filter(Boolean).join(' · ');
  return [
    one.sni && h('div', 'SNI ', foreign(one.sni)),
    parts && h('div', foreign(parts)),
    one.issuer && h('div', say('flow.issuer'), ' ', foreign(one.issuer)),
  ];
}

function facts(flow) {
  const name = (text) => (text ? foreign(text) : null);
  return h(
    'dl.facts',
    fact('start', format.moment(flow.start)),
    fact('duration', (flow.duration_us > 0 || flow.verdict !== 'open') && format.duration(flow.duration_us)),
    fact('client', name(flow.client)),
    fact('user', name(flow.user)),
    fact('proxy', name(flow.proxy)),
    fact('parent', name(flow.parent)),
    fact('address', name(flow.target_address)),
    fact('rule', name(flow.rule)),
    fact('status', flow.status && String(flow.status)),
    fact('bytes', `↑ ${format.bytes(flow.bytes_up)}  ↓ ${format.bytes(flow.bytes_down)}`),
    fact('tls', tls(flow.tls)),
    fact(nearLeg(flow), leg(flow.tcp.client)),
    fact('leg_upstream', leg(flow.tcp.upstream)),
    fact('reported', flow.reported.length > 0 && flow.reported.map((r) => h('div', foreign(r)))),
    fact(
      'redirects',
      flow.redirects.length > 0 &&
        h(
          'ol',
          flow.redirects.map((r) => h('li', r.status ? `${r.status} ` : '', foreign(r.location))),
        ),
    ),
    fact(
      'superseded_by',
      flow.superseded_by && h('a', {href: `/history?flow=${flow.superseded_by}`}, flow.superseded_by),
    ),
    fact('id', h('code', flow.id)),
  );
}

function ending(flow) {
  if (flow.verdict === 'open') return say('flow.under_way', {phase: flow.phase || phaseUnderWay(flow)});
  const parts = [say('flow.in', {phase: flow.ended_in})];
  if (flow.ended_by) parts.push(say('flow.by', {side: say(`side.${flow.ended_by}`)}));
  if (!SUCCESS.has(flow.verdict) || flow.certainty === 'inferred')
    parts.push(say(`certainty.${flow.certainty}`));
  return parts.join(' · ');
}

function copyButton(text) {
  const label = h('span', say('copy'));
  const back = later(2000, () => fill(label, say('copy')));
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    fill(label, say('copied'));
    announce(say('copied'));
    back();
  };
  return navigator.clipboard ? h('button.small', {type: 'button', click: copy}, label) : null;
}

function raw(flow) {
  const text = JSON.stringify(flow, null, 2);
  return h(
    'details.raw',
    h('summary', say('flow.json')),
    h('div.raw-tools', copyButton(text)),
    h('pre', {tabindex: '0', 'aria-label': say('flow.json')}, plainLines(text)),
  );
}

function plainLines(text) {
  return text.split('\n').map(plain).join('\n');
}

// All of a flow.  `options.elapsed`: µs since it began, where it is open; `options.level`: of its
// heading; `options.check`: false where the check itself is shown.
export function flowView(flow, options = {}) {
  const level = options.level || 3;
  const method = flow.method ? h('span.method', foreign(flow.method), ' ') : null;
  return h(
    `article.flow.${kindOf(flow)}`,
    h(
      'header.flow-head',
      h('div.flow-verdict', verdictChip(flow.verdict, kindOf(flow)), h('span.faint', ending(flow))),
      h(`h${level}.flow-target`, method, foreign(targetOf(flow) || say('flow.no_request'))),
    ),
    flow.cause && flow.verdict !== 'open' && h('p.cause', said(flow.cause)),
    flow.advice && h('p.advice', said(flow.advice)),
    h('figure.ladder', ladder(flow, options.elapsed)),
    flow.warnings.length > 0 &&
      h(
        'p.warnings',
        h('span.faint', say('flow.warnings')),
        flow.warnings.map((w) => [' ', h('span.chip.mild', {translate: 'no'}, w)]),
      ),
    flow.evidence.length > 0 && [
      h(`h${level + 1}`, say('flow.evidence')),
      h(
        'ol.evidence',
        flow.evidence.map((text) => h('li', said(text))),
      ),
    ],
    h(`h${level + 1}`, say('flow.facts')),
    facts(flow),
    options.actions,
    raw(flow),
  );
}

// A flow in a window at the side.  `load()` gets it; `after` is called when the window closed.
export function openFlow(title, load, actions) {
  return openDialog({
    title,
    className: 'sheet',
    build: (close) => {
      const place = h('div.dialog-body', loadingPlace());
      const show = async () => {
        try {
          const flow = await load();
          const more = h('div.actions', checkLink(flow), actions && actions(flow, close));
          fill(place, flowView(flow, {elapsed: flow.duration_us, actions: more}));
        } catch (problem) {
          fill(place, problemBox(problem, show));
        }
      };
      place.addEventListener('click', (event) => {
        if (event.target.closest('a[href^="/"]')) close('left');
      });
      show();
      return place;
    },
  });
}

export async function flowOfHistory(id) {
  const {flow, cause, advice} = await get(`/api/v1/flows/${encodeURIComponent(id)}`);
  return {...flow, cause: cause ?? flow.cause, advice: advice ?? flow.advice};
}
