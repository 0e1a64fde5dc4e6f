<?php
$count = ($count ?? 0) + 1;
echo "$count ", getmypid();
