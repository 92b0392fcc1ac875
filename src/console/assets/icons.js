// The signs of the navigation and of buttons: strokes on a grid of 16.

import {s} from './dom.js';

const paths = {
  overview: 'M2 13.5h12M4 11V7.5M8 11V3M12 11V5.5',
  connections: 'M2 5h9.5M9 2.5 11.5 5 9 7.5M14 11H4.5M7 8.5 4.5 11 7 13.5',
  history: 'M2.5 8a5.5 5.5 0 1 0 1.8-4.1L2.5 5.5M2.5 2.5v3h3M8 5v3.2l2.2 1.3',
  diagnose: 'M1.5 8h3l2-5 3 10 2-5h3',
  settings: 'M2 4.5h7M13 4.5h1M2 11.5h1M7 11.5h7M11 6.2V2.8M5 13.2V9.8',
  access: 'M8 1.8 13 3.7v4c0 3.2-2.1 5.4-5 6.5-2.9-1.1-5-3.3-5-6.5v-4zM5.8 8l1.6 1.6 2.9-3.1',
  accounts:
    'M6 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5M1.5 13.5c.3-2.6 2-4 4.5-4s4.2 1.4 4.5 4M10.5 2.8a2.5 2.5 0 0 1 0 4.4M12 9.7c1.5.6 2.3 1.9 2.5 3.8',
  configuration: 'M9.5 1.8H4v12.4h8.5V4.8zM9.5 1.8v3h3M6.2 8h4M6.2 10.8h4',
  menu: 'M2 4h12M2 8h12M2 12h12',
  close: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  theme: 'M8 2v12M8 2.2a5.8 5.8 0 1 1 0 11.6 5.8 5.8 0 0 1 0-11.6',
  language:
    'M8 2.2a5.8 5.8 0 1 1 0 11.6 5.8 5.8 0 0 1 0-11.6M2.3 8h11.4M8 2.2c2 1.7 2.6 3.6 2.6 5.8S10 12.1 8 13.8C6 12.1 5.4 10.2 5.4 8S6 3.9 8 2.2',
  user: 'M8 8a2.8 2.8 0 1 0 0-5.6A2.8 2.8 0 0 0 8 8M2.8 13.8c.4-2.8 2.3-4.2 5.2-4.2s4.8 1.4 5.2 4.2',
  leave: 'M6.5 2.5h-4v11h4M10 5l3 3-3 3M13 8H6',
  upload: 'M8 10.5v-8M5 5.3 8 2.3l3 3M2.5 10v3.5h11V10',
  check: 'M3 8.5 6.5 12 13 4.5',
  warn: 'M8 2.2 14.3 13.3H1.7zM8 6.3v3.2M8 11.4v.2',
  previous: 'M10 3 5 8l5 5',
  next: 'M6 3l5 5-5 5',
};

export function icon(name) {
  return s(
    'svg.icon',
    {viewBox: '0 0 16 16', width: '16', height: '16', 'aria-hidden': 'true', focusable: 'false'},
    s('path', {d: paths[name]}),
  );
}

// The sign of the product: two arches under a deck.
export function logo() {
  return s(
    'svg.logo',
    {viewBox: '0 0 32 32', width: '26', height: '26', 'aria-hidden': 'true', focusable: 'false'},
    s('rect', {width: '32', height: '32', rx: '7'}),
    s('path', {d: 'M4 9h24v3.5H4zM5.5 24v-5a4.5 4.5 0 0 1 9 0v5h3v-5a4.5 4.5 0 0 1 9 0v5H28V14H4v10z'}),
  );
}
