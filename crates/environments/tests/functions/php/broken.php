<?php
function handler( {
