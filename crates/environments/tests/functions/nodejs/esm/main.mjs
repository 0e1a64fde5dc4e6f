import express from 'express';
import { word } from './word.mjs';
export default async () => ({ status: 200, body: word + typeof express });
export const named = async () => ({ status: 200, body: 'named' });
