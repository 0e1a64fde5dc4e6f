const express = require('express');
module.exports = async () => ({ status: 200, body: typeof express });
