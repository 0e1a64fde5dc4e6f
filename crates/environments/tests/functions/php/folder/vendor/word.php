<?php

namespace Vendored;

class Word
{
    public string $text = 'vendored';
}
