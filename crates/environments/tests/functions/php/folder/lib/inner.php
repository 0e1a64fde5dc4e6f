<?php

namespace Inner;

class Deep
{
    public static function answer($context)
    {
        $context['response']->getBody()->write((new \Vendored\Word())->text);
    }
}
