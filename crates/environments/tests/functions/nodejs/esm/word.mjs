import WebSocket from 'ws';
export const word = 'esm ' + typeof WebSocket + ' ';
