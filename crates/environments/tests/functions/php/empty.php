<?php

function handler($context)
{
}
