<?php

spl_autoload_register(function (string $class) {
    if ($class === 'Vendored\Word') {
        require __DIR__ . '/word.php';
    }
});
